"""The packed sequences of a stage on shared storage: shards that a rank reads its own slices of.

SHARD.tokens    int32 `[num_sequences, seq_tokens]`
SHARD.targets   uint8 `[num_sequences, seq_tokens]`: 1 where a token is to be predicted from the one before it
SHARD.parquet   a row a sequence: where its documents start, counts, ids; written last
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from app.storage import Folder
from app.training.data.flat_files import FlatFile, write_flat

TOKENS, TARGETS, INDEX = ".tokens", ".targets", ".parquet"
TOKEN_DTYPE, TARGET_DTYPE = "<i4", "u1"
_LENGTH_KEY = b"seq_tokens"
_INDEX_FIELDS = [
    ("starts", pa.list_(pa.int64())),
    ("num_tokens", pa.int64()),
    ("num_targets", pa.int64()),
    ("example_ids", pa.list_(pa.string())),
]


@dataclass(frozen=True)
class StoredDocument:
    """An example, or a piece of one, as it goes into a sequence."""

    example_id: str
    tokens: np.ndarray
    """int32 `[num_tokens]`."""
    is_target: np.ndarray
    """bool `[num_tokens]`."""


@dataclass(frozen=True)
class StoredSequence:
    """One sequence of a stage."""

    tokens: np.ndarray
    """int32 `[seq_tokens]`, 0 where it is padded."""
    is_target: np.ndarray
    """bool `[seq_tokens]`."""
    starts: list[int]
    """First token of every document that attention keeps apart; padding is one, and the last."""
    num_tokens: int
    """Number of tokens without padding."""
    example_ids: list[str]


def lay_out_sequence(
    documents: Sequence[StoredDocument], seq_tokens: int, separator_id: int | None
) -> StoredSequence:
    """Put documents one after another and fill up with padding.

    Args:
        documents: Fit together, separators included.
        seq_tokens: Length of the sequence.
        separator_id: Documents see each other, and this token stands before each but the first, where it does not
            begin with it anyway; None: they are kept apart. A document's first token is never predicted from
            another document, nor is a separator.
    """
    tokens = np.zeros(seq_tokens, np.int32)
    is_target = np.zeros(seq_tokens, np.bool_)
    starts: list[int] = []
    at = 0
    for document in documents:
        if separator_id is None or not at:
            starts.append(at)
        elif document.tokens[0] != separator_id:
            tokens[at] = separator_id
            at += 1
        stop = at + len(document.tokens)
        assert stop <= seq_tokens, f"{document.example_id} ends after token {seq_tokens} of a sequence"
        tokens[at:stop] = document.tokens
        is_target[at + 1 : stop] = document.is_target[1:]
        at = stop
    if at < seq_tokens:
        starts.append(at)
    return StoredSequence(tokens, is_target, starts, at, [document.example_id for document in documents])


def shard_name(index: int, num_shards: int) -> str:
    """Name of a shard, without what its three files append."""
    return f"sequences-{index:05d}-of-{num_shards:05d}"


def write_sequence_shard(
    folder: Folder, name: str, seq_tokens: int, sequences: Iterable[StoredSequence]
) -> None:
    """Write one shard; memory holds one sequence at a time."""
    columns: list[list[object]] = [[] for _ in _INDEX_FIELDS]
    with write_flat(folder, name + TOKENS) as tokens, write_flat(folder, name + TARGETS) as targets:
        for sequence in sequences:
            tokens.write(sequence.tokens.astype(TOKEN_DTYPE, copy=False).tobytes())
            targets.write(sequence.is_target.astype(TARGET_DTYPE).tobytes())
            num_targets = int(np.count_nonzero(sequence.is_target))
            values = (sequence.starts, sequence.num_tokens, num_targets, sequence.example_ids)
            for column, value in zip(columns, values, strict=True):
                column.append(value)
    schema = pa.schema(_INDEX_FIELDS, metadata={_LENGTH_KEY: str(seq_tokens)})
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    folder.write_table(name + INDEX, pa.Table.from_arrays(arrays, schema=schema))


class SequenceStore:
    """A stage's sequences in the order they are trained. Picklable; files are opened once, when first read."""

    def __init__(self, folder: Folder) -> None:
        """Read the indexes of all shards; no token is read.

        Args:
            folder: Holds one finished stage's data.
        """
        self._folder = folder
        self._names = [name.removesuffix(INDEX) for name in folder.list_names(INDEX)]
        expected = [shard_name(index, len(self._names)) for index in range(len(self._names))]
        assert self._names, f"{folder.uri} holds no shard"
        assert self._names == expected, f"{folder.uri} is half made"
        fields = ["starts", "num_tokens", "num_targets"]
        tables = [folder.read_table(name + INDEX, columns=fields) for name in self._names]
        self._seq_tokens = int(tables[0].schema.metadata[_LENGTH_KEY])
        self._first_sequences = np.cumsum([0, *(table.num_rows for table in tables)])
        whole = pa.concat_tables(tables).combine_chunks()
        starts = whole["starts"].combine_chunks()
        self._starts = starts.flatten().to_numpy()
        self._first_starts = np.concatenate([[0], np.cumsum(starts.value_lengths().to_numpy())])
        self._num_tokens = whole["num_tokens"].to_numpy()
        self._num_targets = whole["num_targets"].to_numpy()
        self._tokens = [FlatFile(folder, name + TOKENS, TOKEN_DTYPE) for name in self._names]
        self._targets = [FlatFile(folder, name + TARGETS, TARGET_DTYPE) for name in self._names]

    def __reduce__(self) -> tuple[type["SequenceStore"], tuple[Folder]]:
        return SequenceStore, (self._folder,)

    @property
    def num_sequences(self) -> int:
        return len(self._num_tokens)

    @property
    def seq_tokens(self) -> int:
        """Length of every sequence."""
        return self._seq_tokens

    def starts(self, index: int) -> np.ndarray:
        """First token of every document that attention keeps apart, int64; padding at the end is one of them."""
        first, last = self._first_starts[index], self._first_starts[index + 1]
        return self._starts[first:last].copy()

    def num_tokens(self, index: int) -> int:
        """Tokens of a sequence without its padding."""
        return int(self._num_tokens[index])

    def num_targets(self, index: int) -> int:
        """Tokens of a sequence that are learned."""
        return int(self._num_targets[index])

    def example_ids(self, index: int) -> list[str]:
        """Examples in a sequence, in its order; looked up on storage."""
        shard, row = self._place(index)
        column = self._folder.read_table(self._names[shard] + INDEX, columns=["example_ids"])["example_ids"]
        return list(column[row].as_py())

    def read(self, index: int, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """A slice of one sequence, and nothing else, from storage.

        Args:
            index: Sequence.
            start: First token.
            stop: Behind the last token; at most `seq_tokens`.

        Returns:
            Tokens, int32 `[stop - start]`, and whether each is to be predicted from the one before it, bool.
        """
        assert 0 <= start <= stop <= self._seq_tokens, (
            f"{start}:{stop} is no slice of {self._seq_tokens} tokens"
        )
        shard, row = self._place(index)
        offset = row * self._seq_tokens
        tokens = self._tokens[shard].read(offset + start, offset + stop)
        return tokens, self._targets[shard].read(offset + start, offset + stop).astype(np.bool_)

    def _place(self, index: int) -> tuple[int, int]:
        """Shard of a sequence and its row there."""
        assert 0 <= index < self.num_sequences, f"sequence {index} of {self.num_sequences}"
        shard = int(np.searchsorted(self._first_sequences, index, side="right")) - 1
        return shard, index - int(self._first_sequences[shard])
