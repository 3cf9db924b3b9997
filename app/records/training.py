"""Records of the training: a source's tokens, a stage's sequences, its checkpoints, and the stage itself."""

from typing import Any

from pydantic import Field

from app.records.record import Record


class TokensRecord(Record):
    """A source in the trained model's tokens."""

    num_examples: int
    num_tokens: int
    num_rejects: dict[str, int]
    """Rows that nothing can be learned from, by reason."""
    num_without_response: dict[str, int]
    """Examples of which the loss on responses learns nothing, by reason."""
    fingerprint: str
    """Hash of the ids and tokens."""


class SourceShare(Record):
    """What became of one source in a stage's sequences."""

    num_tokens: int
    """In the stage's sequences."""
    share: float
    """Of the tokens of all sources."""
    wanted_share: float
    num_epochs: float
    """Times that its tokens were gone through."""
    left_out: dict[str, int]
    """Examples that the stage cannot use, by reason."""


class StageDataRecord(Record):
    """A stage's packed sequences."""

    num_sequences: int
    seq_tokens: int
    num_units: int
    """Whole examples and pieces of texts."""
    num_targets: int
    """Tokens that are learned."""
    padding_share: float
    sources: dict[str, SourceShare]


class CheckpointRecord(Record):
    """A whole checkpoint."""

    step: int
    progress: dict[str, int]
    """What a stage goes on with."""
    num_processes: int
    files: dict[str, int]
    """Name → bytes."""
    checksums: dict[str, int] = Field(default_factory=dict)
    """Name → CRC-32; none in checkpoints from before there were any."""


class StageFacts(Record):
    """One stage as it was trained."""

    name: str
    max_seq_tokens: int
    rope_parameters: dict[str, Any]
    """As transformers has them."""
    mix: dict[str, float]
    """Source → share of the tokens."""
    num_tokens: int
    """Trained on, over all steps."""
    learning_rate: float
    """Its highest."""
    losses: list[float]
    """Of every step, in order: the mean over its tokens."""


class SourceFacts(Record):
    """One source of training rows."""

    name: str
    """As the stages' mixes have it."""
    origin: str
    """Where its rows are from: the run's dataset, or a path."""
    num_tokens: int
    """That it holds."""


class ExportedFiles(Record):
    """A model as it was exported."""

    dtype: str
    num_parameters: int
    max_position_embeddings: int
    rope_parameters: dict[str, Any]
    files: dict[str, int]
    """Name → bytes."""


class ExportRecord(ExportedFiles):
    """An export that was compared with the trained model."""

    logit_difference: float


class StageRecord(Record):
    """A complete stage."""

    stage: StageFacts
    sources: list[SourceFacts]
    export: ExportRecord
