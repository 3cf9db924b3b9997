"""A source's tokens on shared storage: for each part of its files one flat file of tokens, one of bits, one index.

PART.tokens    int32, all examples of the part, one after another
PART.bits      uint8, what is learned of each token (`app.training.data.tokenization.TARGET_BITS`)
PART.parquet   INDEX_SCHEMA, a row an example; written last, so that a part without it is half made
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs

from app.storage import Folder
from app.training.data.flat_files import FlatFile, write_flat
from app.training.data.tokenization import TARGET_BITS, Loss, TokenRow

TOKENS, BITS, INDEX = ".tokens", ".bits", ".parquet"
TOKEN_DTYPE, BIT_DTYPE = "<i4", "u1"
INDEX_SCHEMA = pa.schema(
    [
        ("example_id", pa.string()),
        ("start", pa.int64()),
        ("num_tokens", pa.int64()),
        ("num_targets", pa.int64()),
        ("num_response_targets", pa.int64()),
        ("first_token", pa.int32()),
        ("is_text", pa.bool_()),
    ]
)
_TARGETS_COLUMN: dict[Loss, str] = {"all": "num_targets", "response": "num_response_targets"}


class PartWriter:
    """Takes a part's examples one by one."""

    def __init__(self, tokens: Any, bits: Any) -> None:
        self._tokens = tokens
        self._bits = bits
        self._columns: list[list[Any]] = [[] for _ in INDEX_SCHEMA]
        self._digest = hashlib.sha256()
        self.num_tokens = 0

    @property
    def num_examples(self) -> int:
        return len(self._columns[0])

    @property
    def digest(self) -> str:
        """Hash of all that was written."""
        return self._digest.hexdigest()[:16]

    def add(self, example_id: str, row: TokenRow, is_text: bool) -> None:
        for stream, array, dtype in (
            (self._tokens, row.tokens, TOKEN_DTYPE),
            (self._bits, row.target_bits, BIT_DTYPE),
        ):
            payload = array.astype(dtype, copy=False).tobytes()
            stream.write(payload)
            self._digest.update(payload)
        self._digest.update(example_id.encode())
        targets = [row.num_targets(loss) for loss in TARGET_BITS]
        values = (example_id, self.num_tokens, len(row.tokens), *targets, int(row.tokens[0]), is_text)
        for column, value in zip(self._columns, values, strict=True):
            column.append(value)
        self.num_tokens += len(row.tokens)

    def index(self) -> pa.Table:
        """Rows of INDEX_SCHEMA."""
        arrays = [
            pa.array(column, field.type) for column, field in zip(self._columns, INDEX_SCHEMA, strict=True)
        ]
        return pa.Table.from_arrays(arrays, schema=INDEX_SCHEMA)


@contextmanager
def write_part(folder: Folder, part: str) -> Iterator[PartWriter]:
    """Write the tokens and bits of one part; its index is the caller's to write, when all else is there."""
    with write_flat(folder, part + TOKENS) as tokens, write_flat(folder, part + BITS) as bits:
        yield PartWriter(tokens, bits)


@dataclass(frozen=True)
class SourceIndex:
    """The numbers of all examples of a source, part after part; all arrays are `[num_examples]`."""

    part: np.ndarray
    """Number of the part that an example is in."""
    row: np.ndarray
    """Row of the example in the part's index."""
    start: np.ndarray
    """Position of the first token in the part's file."""
    num_tokens: np.ndarray
    num_targets: np.ndarray
    first_token: np.ndarray
    is_text: np.ndarray


class TokenShards:
    """The tokens of one source, read where they are. Picklable."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self.parts = [name.removesuffix(INDEX) for name in folder.list_names(INDEX)]
        self._files: dict[str, FlatFile] = {}

    def __reduce__(self) -> tuple[type["TokenShards"], tuple[Folder]]:
        return TokenShards, (self._folder,)

    @property
    def is_local(self) -> bool:
        """Whether reads are almost free."""
        return isinstance(self._folder.filesystem, pafs.LocalFileSystem)

    def read_index(self, loss: Loss) -> SourceIndex:
        """Everything about the examples but their tokens and their ids.

        Args:
            loss: What `num_targets` counts.
        """
        targets = _TARGETS_COLUMN[loss]
        names = ["start", "num_tokens", targets, "first_token", "is_text"]
        tables = [self._folder.read_table(part + INDEX, columns=names) for part in self.parts]
        sizes = [table.num_rows for table in tables]
        whole = pa.concat_tables(tables) if tables else INDEX_SCHEMA.empty_table()
        columns = {name: whole[name].to_numpy() for name in names}
        return SourceIndex(
            part=np.repeat(np.arange(len(sizes)), sizes),
            row=np.concatenate([np.arange(size) for size in sizes] or [np.empty(0, np.int64)]),
            start=columns["start"],
            num_tokens=columns["num_tokens"],
            num_targets=columns[targets],
            first_token=columns["first_token"],
            is_text=columns["is_text"],
        )

    def read(self, part: int, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Tokens (int32) and bits (uint8) of a stretch of a part."""
        name = self.parts[part]
        tokens = self._file(name + TOKENS, TOKEN_DTYPE).read(start, stop)
        return tokens, self._file(name + BITS, BIT_DTYPE).read(start, stop)

    def read_ids(self, part: int, rows: np.ndarray) -> list[str]:
        """Ids of the examples in some rows of a part."""
        column = self._folder.read_table(self.parts[part] + INDEX, columns=["example_id"])["example_id"]
        return list(column.take(pa.array(rows)).to_pylist())

    def _file(self, name: str, dtype: str) -> FlatFile:
        if name not in self._files:
            self._files[name] = FlatFile(self._folder, name, dtype)
        return self._files[name]
