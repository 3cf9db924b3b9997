"""Which candidate is the best, and the record of what it read."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from app.probing.questions import Haystack
from app.records.probe import ReadingRecord

if TYPE_CHECKING:
    # It brings torch with it, which the settings' identities don't need.
    from app.probing.reading import Reading

NUM_STRETCHES = 32
"""Stretches of a text whose mean losses make a curve."""


def best_of(readings: Sequence[ReadingRecord]) -> ReadingRecord:
    """The candidate that finds most needles; of several, the one with the least loss at positions beyond the old limit.

    Args:
        readings: Of candidates at one length, at least one.
    """

    def rank(reading: ReadingRecord) -> tuple[int, float]:
        beyond = reading.loss if reading.loss_beyond is None else reading.loss_beyond
        return -reading.num_found, beyond

    return min(readings, key=rank)


def summarize(
    name: str,
    parameters: dict[str, Any],
    length_tokens: int,
    old_tokens: int,
    haystacks: Sequence[Haystack],
    readings: Sequence["Reading"],
    seconds: float,
) -> ReadingRecord:
    """One record of all haystacks that a model read at a length.

    Args:
        name: Of the candidate.
        parameters: Its RoPE parameters.
        length_tokens: The length.
        old_tokens: Longest sequence that the model was made for.
        haystacks: What was read, of the same number of needles.
        readings: What came of each.
        seconds: Time of the readings.
    """
    positions = np.concatenate([reading.positions for reading in readings])
    losses = np.concatenate([reading.losses for reading in readings])
    beyond = losses[positions >= old_tokens]
    found = np.array([reading.found for reading in readings])
    depths = np.array([haystack.depths_percent for haystack in haystacks]).mean(axis=0)
    edges = np.linspace(0, positions.max() + 1, NUM_STRETCHES + 1)
    stretch = np.clip(np.digitize(positions, edges) - 1, 0, NUM_STRETCHES - 1)
    filled = np.unique(stretch)
    return ReadingRecord(
        name=name,
        rope_parameters=parameters,
        length_tokens=length_tokens,
        num_found=int(found.sum()),
        num_asked=int(found.size),
        found_shares={
            f"{depth:.0f}": float(share) for depth, share in zip(depths, found.mean(axis=0), strict=True)
        },
        answer_loss=round(float(np.mean([reading.answer_losses for reading in readings])), 4),
        loss=round(float(losses.mean()), 4),
        loss_beyond=round(float(beyond.mean()), 4) if len(beyond) else None,
        positions=[int((edges[index] + edges[index + 1]) / 2) for index in filled],
        losses=[round(float(losses[stretch == index].mean()), 4) for index in filled],
        seconds=round(seconds, 1),
    )
