"""One source's examples in the order a stage draws them: shuffled, epoch after epoch, long texts in pieces."""

import hashlib
import math
from dataclasses import dataclass

import numpy as np

from app.config import StageConfig


@dataclass(frozen=True)
class SourceLengths:
    """Facts about a source's examples; all arrays are `[num_examples]`."""

    num_tokens: np.ndarray
    num_targets: np.ndarray
    """Tokens that are learned with the loss of this stage."""
    is_text: np.ndarray
    """Plain texts may be cut, chats may not."""
    begins_with_separator: np.ndarray


class Supply:
    """One source's units in the order they are drawn, epoch after epoch."""

    def __init__(
        self, name: str, share: float, lengths: SourceLengths, stage: StageConfig, seed: int
    ) -> None:
        self.name = name
        self.share = share
        self._lengths = lengths
        self._stage = stage
        self._seed = seed
        learns = lengths.num_targets > 0
        fits = lengths.is_text | (lengths.num_tokens <= stage.max_seq_tokens)
        self._examples = np.flatnonzero(learns & fits)
        self.left_out = {
            reason: int(count)
            for reason, count in (
                ("nothing to learn", np.count_nonzero(~learns)),
                ("longer than max_seq_tokens", np.count_nonzero(learns & ~fits)),
            )
            if count
        }
        self.epoch_tokens = int(lengths.num_tokens[self._examples].sum())
        self.available = math.floor(stage.max_epochs * self.epoch_tokens)
        """Most tokens that may be drawn."""
        self.num_drawn = 0
        """Tokens drawn."""
        self._epoch = -1
        self._next = 0
        self._columns: tuple[list[int], list[int], list[int], list[int]] = ([], [], [], [])

    def peek(self, within_epoch: bool = False) -> tuple[int, int, int, int] | None:
        """Next unit: example, start, length, and the room a separator before it takes; None when there is none."""
        if self._next == len(self._columns[0]):
            if within_epoch or not len(self._examples):
                return None
            self._begin_epoch()
        examples, starts, lengths, extras = self._columns
        at = self._next
        if self.num_drawn + lengths[at] > self.available:
            return None
        return examples[at], starts[at], lengths[at], extras[at]

    def take(self) -> None:
        """The unit that `peek` showed is used."""
        self.num_drawn += self._columns[2][self._next]
        self._next += 1

    def skip(self) -> None:
        """It is not: no later one of this epoch will be missed for it, as no epoch follows."""
        self._next += 1

    def _begin_epoch(self) -> None:
        self._epoch += 1
        self._next = 0
        keys = seeded_random(self._seed, self._stage.name, self.name, str(self._epoch)).random_raw(
            len(self._examples)
        )
        examples = self._examples[np.argsort(keys, kind="stable")]
        num_tokens = self._lengths.num_tokens[examples].astype(np.int64)
        num_pieces = -(-num_tokens // self._stage.max_seq_tokens)
        piece = np.arange(num_pieces.sum()) - np.repeat(np.cumsum(num_pieces) - num_pieces, num_pieces)
        examples = np.repeat(examples, num_pieces)
        num_tokens, num_pieces = np.repeat(num_tokens, num_pieces), np.repeat(num_pieces, num_pieces)
        starts = num_tokens * piece // num_pieces
        lengths = num_tokens * (piece + 1) // num_pieces - starts
        if self._stage.documents == "separator":
            extras = np.where(self._lengths.begins_with_separator[examples] & (starts == 0), 0, 1)
        else:
            extras = np.zeros_like(starts)
        self._columns = (examples.tolist(), starts.tolist(), lengths.tolist(), extras.tolist())


def seeded_random(seed: int, *names: str) -> np.random.PCG64:
    """A source of randomness whose raw numbers numpy promises to keep from version to version."""
    digest = hashlib.sha256("\0".join([str(seed), *names]).encode()).digest()
    return np.random.PCG64(int.from_bytes(digest[:16], "little"))
