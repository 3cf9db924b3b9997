"""Assigns examples to the sequences of a stage: draws the mix by its shares and packs it to the stage's length.

A function of the settings and the examples' lengths alone. Nothing is read but numbers: a plan of a million examples
takes seconds.
"""

import hashlib
import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from app.config import StageConfig
from app.faults import UserError
from app.records.training import SourceShare
from app.training.data.supplies import SourceLengths, Supply, seeded_random

NUM_OPEN = 64
"""Sequences that are filled at the same time: more waste less, fewer keep the mix even over shorter stretches."""
MOST_MISSING_SHARE = 0.01
"""Of a stage's room, that may stay empty when a source ends just before the stage does."""
_TAIL_TRIES = 64
"""Units of one source that are looked at when what is left of the last sequences is to be filled."""


@dataclass(frozen=True)
class PackingPlan:
    """Sequences, each a run of units; a unit is a whole example or a piece of a text."""

    sources: tuple[str, ...]
    unit_source: np.ndarray
    """Index into `sources` of each unit, `[num_units]`."""
    unit_example: np.ndarray
    """Index of the example within its source, `[num_units]`."""
    unit_start: np.ndarray
    """First token, counted from the example's own, `[num_units]`."""
    unit_length: np.ndarray
    """`[num_units]`."""
    first_units: np.ndarray
    """Sequence `i` is made of units `first_units[i]` to `first_units[i + 1]`, `[num_sequences + 1]`."""
    shares: dict[str, SourceShare]
    num_padding: int
    """Positions without a token, separators not counted as such."""

    @property
    def num_sequences(self) -> int:
        return len(self.first_units) - 1

    @property
    def fingerprint(self) -> str:
        """Hash of the whole plan."""
        digest = hashlib.sha256(repr(self.sources).encode())
        for array in (
            self.unit_source,
            self.unit_example,
            self.unit_start,
            self.unit_length,
            self.first_units,
        ):
            digest.update(np.ascontiguousarray(array, np.int64).tobytes())
        return digest.hexdigest()[:16]


def plan_stage(
    stage: StageConfig, sources: Mapping[str, SourceLengths], seed: int, field: str
) -> PackingPlan:
    """Draw and pack a stage's sequences.

    The source that lags most behind its share of the tokens drawn so far draws next, so that the shares hold over
    every stretch of the stage. Sequences are closed in about the order they were opened; a seeded shuffle within that
    reach takes away what the packing put side by side.

    Args:
        stage: Length, mix, number of sequences, epochs.
        sources: One for each name in the mix.
        seed: Seed of the run.
        field: Name of the stage's mix in the settings, for errors.

    Raises:
        UserError: A source has too few tokens for its share.
    """
    total_share = sum(stage.mix.values())
    # By name: a mapping's order is not part of the settings.
    supplies = [
        Supply(name, stage.mix[name] / total_share, sources[name], stage, seed) for name in sorted(stage.mix)
    ]
    packer = _Packer(stage, supplies, field)
    packer.draw_all()
    return packer.plan(seeded_random(seed, stage.name, "order"))


class _Packer:
    """Open sequences and what has been put into all."""

    def __init__(self, stage: StageConfig, supplies: list[Supply], field: str) -> None:
        self._stage = stage
        self._supplies = supplies
        self._field = field
        self._num_sequences = stage.total_steps * stage.sequences_per_step
        self._room = self._num_sequences * stage.max_seq_tokens
        self._num_free = self._room
        """Positions without a token, in sequences that are closed too."""
        self._num_lost = 0
        """Those in closed ones."""
        self._num_begun = 0
        self._rooms: list[int] = []
        """Positions left in the open sequences, ascending."""
        self._open: list[int] = []
        """Their numbers."""
        self._units: tuple[list[int], list[int], list[int], list[int], list[int]] = ([], [], [], [], [])
        """Sequence, source, example, start, length."""

    def draw_all(self) -> None:
        """Fill the stage."""
        active = dict(enumerate(self._supplies))
        tries = dict.fromkeys(active, _TAIL_TRIES)
        num_drawn, is_tail = 0, False
        while active:
            number, behind = -1, -math.inf
            for candidate, supply in active.items():
                deficit = supply.share * num_drawn - supply.num_drawn
                if deficit > behind:
                    number, behind = candidate, deficit
            supply = active[number]
            if supply.num_drawn >= supply.share * self._room:
                del active[number]
                continue
            unit = supply.peek(within_epoch=is_tail)
            if unit is None:
                if not is_tail:
                    self._check_supply(supply)
                del active[number]
                continue
            sequence = self._place(unit[2], unit[3])
            if sequence is None:
                is_tail = True
                supply.skip()
                tries[number] -= 1
                if not tries[number]:
                    del active[number]
                continue
            supply.take()
            num_drawn += unit[2]
            for column, value in zip(self._units, (sequence, number, *unit[:3]), strict=True):
                column.append(value)
        if self._num_begun < self._num_sequences:
            self._refuse(max(self._supplies, key=lambda supply: supply.share * num_drawn - supply.num_drawn))

    def _place(self, length: int, extra: int) -> int | None:
        """Sequence for a unit: the open one that it fills best, else a new one; None when there is none."""
        at = bisect_left(self._rooms, length + extra)
        if at < len(self._rooms):
            sequence, room = self._open.pop(at), self._rooms.pop(at) - length - extra
            self._num_free -= length + extra
        elif self._num_begun < self._num_sequences:
            if len(self._rooms) == NUM_OPEN:
                self._open.pop(0)
                self._num_lost += self._rooms.pop(0)
            sequence, room = self._num_begun, self._stage.max_seq_tokens - length
            self._num_begun += 1
            self._num_free -= length
        else:
            return None
        at = bisect_left(self._rooms, room)
        self._rooms.insert(at, room)
        self._open.insert(at, sequence)
        return sequence

    def _check_supply(self, supply: Supply) -> None:
        """A source has come to its end: fine at the stage's own end, and where another unit would be too many."""
        if supply.available >= supply.share * self._room:
            return
        is_begun = self._num_begun == self._num_sequences
        if not is_begun or self._num_free - self._num_lost > MOST_MISSING_SHARE * self._room:
            self._refuse(supply)

    def _refuse(self, supply: Supply) -> None:
        stage = self._stage
        needed = math.ceil(supply.share * self._room)
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in supply.left_out.items())
        left_out = f" (examples left out: {reasons})" if reasons else ""
        if supply.epoch_tokens:
            epochs = math.ceil(100 * max(needed, supply.available + 1) / supply.epoch_tokens) / 100
            steps = min(stage.total_steps * supply.available // needed, stage.total_steps - 1)
            shorter = (
                f"num_steps to {steps}" if stage.num_steps else f"num_tokens to {steps * stage.batch_tokens}"
            )
            remedy = f"set max_epochs to {epochs:g}" + (f" or {shorter}" if steps else "")
        else:
            remedy = "give it other examples, or leave it out of the mix"
        raise UserError(
            f"{self._field}.{supply.name}: stage {stage.name} needs {needed:,} tokens of source {supply.name}, "
            f"{supply.share:.1%} of its {self._room:,}, and there are {supply.available:,} at max_epochs "
            f"{stage.max_epochs:g}{left_out}; {remedy}"
        )

    def plan(self, random: np.random.PCG64) -> PackingPlan:
        """The drawn units, with the sequences in their final order."""
        sequence, source, example, start, length = (np.array(column, np.int64) for column in self._units)
        uniform = (random.random_raw(self._num_sequences) >> np.uint64(11)) * 2.0**-53
        keys = np.arange(self._num_sequences) + NUM_OPEN * uniform
        places = np.empty(self._num_sequences, np.int64)
        places[np.argsort(keys, kind="stable")] = np.arange(self._num_sequences)
        order = np.argsort(places[sequence], kind="stable")
        counts = np.bincount(places[sequence], minlength=self._num_sequences)
        num_tokens = max(int(length.sum()), 1)
        shares = {
            supply.name: SourceShare(
                num_tokens=supply.num_drawn,
                share=supply.num_drawn / num_tokens,
                wanted_share=supply.share,
                num_epochs=supply.num_drawn / max(supply.epoch_tokens, 1),
                left_out=supply.left_out,
            )
            for supply in self._supplies
        }
        return PackingPlan(
            sources=tuple(supply.name for supply in self._supplies),
            unit_source=source[order],
            unit_example=example[order],
            unit_start=start[order],
            unit_length=length[order],
            first_units=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            shares=shares,
            num_padding=self._num_free,
        )
