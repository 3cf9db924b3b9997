"""Parquet shards: the layout of the corpus folder, and how rows are streamed into shards."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from app.run import DOCUMENTS_DIR, PASSAGES_DIR
from app.storage import Folder

_ROW_GROUP_CHARS = 32_000_000
"""A row group of enormous texts is closed early."""
_ORDER_BITS = 40


@dataclass(frozen=True)
class CorpusLayout:
    """The folders of a run's corpus. Picklable."""

    root: Folder

    @property
    def documents(self) -> Folder:
        return self.root / DOCUMENTS_DIR

    @property
    def passages(self) -> Folder:
        return self.root / PASSAGES_DIR

    @property
    def rejects(self) -> Folder:
        return self.root / "rejects"

    @property
    def scan(self) -> Folder:
        """Scanned rows that are not deduplicated yet; removed when the corpus is complete."""
        return self.root / "_scan"


@dataclass(frozen=True, slots=True)
class ShardName:
    """A shard: a part of what one unit of work holds."""

    unit_index: int
    shard_index: int

    @property
    def part(self) -> str:
        """File name of the shard in each of the corpus's folders."""
        return f"part-{self}.parquet"

    def __str__(self) -> str:
        return f"{self.unit_index:05d}-{self.shard_index:03d}"

    def first_order(self, documents_per_shard: int) -> int:
        """Place in the corpus of the shard's first document."""
        return (self.unit_index << _ORDER_BITS) + self.shard_index * documents_per_shard


class ShardWriter:
    """Collects rows and writes them as row groups."""

    def __init__(self, writer: pq.ParquetWriter, schema: pa.Schema, row_group_rows: int) -> None:
        self._writer = writer
        self._schema = schema
        self._row_group_rows = row_group_rows
        self._columns: list[list[Any]] = [[] for _ in schema]
        self._num_chars = 0

    def add(self, *values: Any, num_chars: int = 0) -> None:
        """Add one row, its values in the schema's order.

        Args:
            values: One for each column.
            num_chars: Length of the row's text, to limit the memory of a row group.
        """
        for column, value in zip(self._columns, values, strict=True):
            column.append(value)
        self._num_chars += num_chars
        if len(self._columns[0]) >= self._row_group_rows or self._num_chars >= _ROW_GROUP_CHARS:
            self.flush()

    def flush(self) -> None:
        """Close the row group."""
        if not self._columns[0]:
            return
        pairs = zip(self._columns, self._schema, strict=True)
        arrays = [pa.array(column, field.type) for column, field in pairs]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._columns = [[] for _ in self._schema]
        self._num_chars = 0


@contextmanager
def open_shard(folder: Folder, name: str, schema: pa.Schema, row_group_rows: int) -> Iterator[ShardWriter]:
    """Write one Parquet file row by row; it appears when the block ends, and not at all if the block raises."""
    with (
        folder.replace(name) as aside,
        pq.ParquetWriter(aside, schema, filesystem=folder.filesystem, compression="zstd") as writer,
    ):
        shard = ShardWriter(writer, schema, row_group_rows)
        yield shard
        shard.flush()
