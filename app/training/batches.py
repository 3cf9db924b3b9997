"""The batch of a step. It depends only on the settings and the step's number, not on the number of workers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from app.training.loss import IGNORED
from app.training.parallel.attention import PackedSequence, SequenceParallel

PADDING_TOKEN = 0
"""Any token will do: padding is a document of its own, and nothing of it is learned."""


class Sequences(Protocol):
    """Packed sequences, as `app.training.data.sequence_store` keeps them."""

    @property
    def num_sequences(self) -> int: ...

    @property
    def seq_tokens(self) -> int: ...

    def starts(self, index: int) -> np.ndarray:
        """First token of every document, `[0, ...]`."""
        ...

    def num_targets(self, index: int) -> int:
        """Tokens that are learned."""
        ...

    def read(self, index: int, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Tokens, and whether each is to be predicted, of a slice."""
        ...


@dataclass(frozen=True)
class Shard:
    """One rank's part of one sequence. All tensors are `[own tokens]`."""

    input_ids: Tensor
    labels: Tensor
    """The token that follows each, or `IGNORED`: shifted here, once, before the sequence is cut."""
    position_ids: Tensor
    """Place of each token in its document."""
    packed: PackedSequence


def sequences_of_step(step: int, sequences_per_step: int) -> range:
    """Sequences of a step, counted from 0."""
    return range(step * sequences_per_step, (step + 1) * sequences_per_step)


def own_sequences(step: int, sequences_per_step: int, data_rank: int, data_size: int) -> Iterator[int | None]:
    """Sequences that one group of ranks works on in a step, one after the other.

    Every group gets as many; where they don't divide, the last ones get nothing to do but take part.
    """
    sequences = sequences_of_step(step, sequences_per_step)
    for first in range(0, sequences_per_step, data_size):
        number = first + data_rank
        yield sequences[number] if number < sequences_per_step else None


def load_shard(sequences: Sequences, index: int | None, parallel: SequenceParallel) -> Shard:
    """This rank's part of a sequence, and nothing else of it, from storage.

    Args:
        sequences: The sequences that hold it.
        index: Which one; nothing gives a sequence without anything to learn.
        parallel: The ranks that share it.
    """
    num_tokens = sequences.seq_tokens
    padded = parallel.layout.padded_tokens(num_tokens)
    starts = np.zeros(1, np.int64) if index is None else np.asarray(sequences.starts(index), np.int64)
    if padded > num_tokens:
        starts = np.append(starts, num_tokens)
    parts = [
        _load_span(sequences, index, start, stop, starts)
        for start, stop in parallel.layout.spans(parallel.rank, padded)
    ]
    tokens, labels, positions = (torch.from_numpy(np.concatenate(part)) for part in zip(*parts, strict=True))
    boundaries = (*(int(start) for start in starts), padded)
    return Shard(tokens, labels, positions, PackedSequence(boundaries, parallel))


def _load_span(
    sequences: Sequences, index: int | None, start: int, stop: int, starts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    tokens = np.full(stop - start, PADDING_TOKEN, np.int64)
    labels = np.full(stop - start, IGNORED, np.int64)
    # One token more: the last one's label.
    end = min(stop + 1, sequences.seq_tokens)
    if index is not None and start < end:
        read, is_target = sequences.read(index, start, end)
        tokens[: end - start] = read[: stop - start]
        following = np.where(is_target[1:], read[1:], IGNORED)
        labels[: len(following)] = following
    places = np.arange(start, stop)
    positions = places - starts[np.searchsorted(starts, places, side="right") - 1]
    return tokens, labels, positions


def num_targets_of_step(sequences: Sequences, step: int, sequences_per_step: int) -> int:
    """Tokens that a whole step learns: what its loss is divided by, known to every rank without asking."""
    return sum(sequences.num_targets(index) for index in sequences_of_step(step, sequences_per_step))
