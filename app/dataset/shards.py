"""Finished examples → the Parquet files that people and the Hub read."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from app.schema import EXAMPLE_SCHEMA
from app.storage import Folder

EXAMPLES_DIR = "examples"
"""Folder of the dataset that holds nothing but shards."""
REPETITIVE_COLUMNS = ["kind", "task", "generator", "prompt_version"]
"""Few values in many rows; a dictionary of whole contexts would only cost memory."""
DIGEST_KEY = "longstrap_rows_sha256"
"""Metadata of a shard: the hash of its rows."""


def write_shards(
    rows: Iterable[Mapping[str, Any]],
    num_rows: int,
    folder: Folder,
    rows_per_shard: int,
    row_group_bytes: int,
) -> list[str]:
    """Write all examples anew, as `train-00000-of-00003.parquet` and so on, each file whole or not at all.

    Memory holds one row group at a time. What an earlier try left in the folder goes first: a shard of another total
    would be read with the rest. No row still gives one file, so that the dataset opens.

    Args:
        rows: Rows in EXAMPLE_SCHEMA.
        num_rows: How many there are; the names of the files need it.
        folder: Holds nothing else.
        rows_per_shard: Most rows of a file; all files hold about as many.
        row_group_bytes: Size in memory, uncompressed, at which a row group is closed.

    Returns:
        The files' names.
    """
    folder.delete()
    num_shards = max(-(-num_rows // rows_per_shard), 1)
    names = [f"train-{index:05d}-of-{num_shards:05d}.parquet" for index in range(num_shards)]
    iterator = iter(rows)
    for index, name in enumerate(names):
        shard_rows = num_rows * (index + 1) // num_shards - num_rows * index // num_shards
        with folder.replace(name) as aside:
            written = _write_shard(islice(iterator, shard_rows), folder, aside, row_group_bytes)
            assert written == shard_rows, f"{num_rows} rows were announced, fewer came"
    assert next(iterator, None) is None, f"{num_rows} rows were announced, more came"
    return names


def hash_shards(folder: Folder, num_chars: int = 8) -> str:
    """Hash of all rows of a finished dataset, in their order; only the shards' footers are read."""
    digest = hashlib.sha256()
    for name in folder.list_names(".parquet"):
        metadata = pq.read_metadata(folder.file(name), filesystem=folder.filesystem).metadata or {}
        digest.update(metadata[DIGEST_KEY.encode()])
    return digest.hexdigest()[:num_chars]


def _write_shard(rows: Iterator[Mapping[str, Any]], folder: Folder, path: str, row_group_bytes: int) -> int:
    num_rows = 0
    digest = hashlib.sha256()
    with pq.ParquetWriter(
        path,
        EXAMPLE_SCHEMA,
        filesystem=folder.filesystem,
        compression="zstd",
        use_dictionary=REPETITIVE_COLUMNS,
        # What the Hub asks for: its viewer seeks by page, its storage keeps unchanged chunks of a new version.
        write_page_index=True,
        use_content_defined_chunking=True,
    ) as writer:
        for table in _row_groups(rows, row_group_bytes):
            writer.write_table(table, row_group_size=table.num_rows)
            num_rows += table.num_rows
            for batch in table.to_batches():
                digest.update(batch.serialize())
        writer.add_key_value_metadata({DIGEST_KEY: digest.hexdigest()})
    return num_rows


def _row_groups(rows: Iterator[Mapping[str, Any]], row_group_bytes: int) -> Iterator[pa.Table]:
    batches: list[pa.RecordBatch] = []
    num_bytes = 0
    for row in rows:
        # One row a batch: a context of a million tokens counts as the megabytes that it is.
        batch = pa.RecordBatch.from_pylist(
            [{name: row[name] for name in EXAMPLE_SCHEMA.names}], EXAMPLE_SCHEMA
        )
        batches.append(batch)
        num_bytes += batch.nbytes
        if num_bytes >= row_group_bytes:
            yield pa.Table.from_batches(batches)
            batches, num_bytes = [], 0
    if batches:
        yield pa.Table.from_batches(batches)
