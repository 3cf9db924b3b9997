"""Records of the dataset: its seeds, its counts, and the statistics on which the card and the report are based."""

from app.records.record import Record


class SeedsRecord(Record):
    """What was drawn from the corpus."""

    num_seeds: int


class KindCounts(Record):
    """Examples of one kind."""

    num_examples: int
    num_tokens: int
    length_tokens: dict[str, int | float]
    """Quantile, or `mean` → length of an example."""
    tasks: dict[str, int]
    """Kind of instruction, or name of the structure task → examples."""


class RejectCount(Record):
    """Seeds that one step left out for one reason."""

    step: str
    reason: str
    num_rejects: int


class CallCounts(Record):
    """LLM calls of one step of the workflow, those of rejects included."""

    num_calls: int
    num_prompt_tokens: int
    num_output_tokens: int
    num_cached_tokens: int
    """Prompt tokens that the engine had computed before."""


class DatasetRecord(Record):
    """What a complete dataset holds."""

    num_examples: int
    num_tokens: int
    num_rejects: int
    kinds: dict[str, KindCounts]
    rejects: list[RejectCount]
    """The most frequent first."""
    calls: dict[str, CallCounts]
    """By step of the workflow."""


class LengthHistogram(Record):
    """Bin `i` is `[edges_tokens[i], edges_tokens[i + 1])`."""

    edges_tokens: list[int]
    counts: dict[str, list[int]]
    """By kind."""


class DepthHistogram(Record):
    """Evidence of long inputs: bin `i` is `[edges[i], edges[i + 1])`, as shares of the context."""

    edges: list[float]
    counts: list[int]


class WriterCount(Record):
    """Examples of one generator with one version of the prompts."""

    generator: str
    prompt_version: str
    num_examples: int


class VerificationCounts(Record):
    """What was measured of the answers of long inputs, those that did not become examples included."""

    num_verified: int
    not_verified: dict[str, int]
    """Reason → answers that were not measured."""
    thresholds: dict[str, float | None]
    """Those that were applied; None: none follows from so few answers."""
    own: dict[str, dict[str, float]]
    """Signal → quantile → value among the answers."""
    shuffled: dict[str, dict[str, float]]
    """The same of answers with the evidence of others."""
    auc: dict[str, float | None]
    """Signal → probability that an answer has more of it than a shuffled one."""


class DatasetStatistics(DatasetRecord):
    """What a finished dataset holds, in numbers: `statistics.json`."""

    lengths: LengthHistogram
    evidence_depths: DepthHistogram
    seed_passages: dict[str, int]
    """Place of the passage that the instruction was written from → long inputs. It is `evidence`, a `distractor`, or
    `absent` from the context."""
    written_by: list[WriterCount]
    verification: VerificationCounts | None = None
    """None where nothing was measured."""

    @property
    def counts(self) -> DatasetRecord:
        """The part that the dataset's own record has."""
        return DatasetRecord(**{name: getattr(self, name) for name in DatasetRecord.model_fields})
