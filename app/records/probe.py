"""Records of the probe: what a model found with one RoPE at one length, and what a search took."""

from typing import Any

from app.records.record import Record


class ReadingRecord(Record):
    """A model with one RoPE, read at one length."""

    name: str
    """Of the candidate, or of the trained stage."""
    rope_parameters: dict[str, Any]
    """As transformers has them."""
    length_tokens: int
    num_found: int
    """Needles whose value the model would write, token by token the likeliest."""
    num_asked: int
    found_shares: dict[str, float]
    """Depth in percent, as text → share of the needles there that were found."""
    answer_loss: float
    """Mean cross entropy of the values' tokens."""
    loss: float
    """Mean cross entropy over the whole text."""
    loss_beyond: float | None
    """The same over the positions that the model could not read before; None: there are none."""
    positions: list[int]
    """The middle of each stretch of the text."""
    losses: list[float]
    """Mean cross entropy of each stretch."""
    seconds: float
    """That the readings took, loading left out."""


class RopeSearchRecord(Record):
    """The RoPE that a search found for a stage."""

    model: str
    """What was read: the model before the first stage, or the stage before."""
    old_tokens: int
    """Longest sequence that it was made for."""
    chosen: str
    """Name of the best candidate: most needles found, then the least loss at positions beyond the old length."""
    rope_parameters: dict[str, Any]
    """The candidate's, as transformers has them."""
    readings: list[ReadingRecord]
    """Of all candidates."""


class ProbeRecord(Record):
    """What `longstrap probe` read."""

    model: str
    old_tokens: int
    """Longest sequence that the model was made for."""
    readings: list[ReadingRecord]
    """Of the model, the candidates and the trained stages, at all lengths."""
