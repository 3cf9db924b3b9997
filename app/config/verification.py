"""Settings of the verification of answers."""

from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveInt

from app.config.generation import GeneratorConfig
from app.config.section import OPERATIONAL, NonNegativeCount, Section, Share


class ThresholdConfig(Section):
    """What a verified answer must reach, in nats per answer token.

    Omitted thresholds follow from the run's own answers and from answers shuffled among them. The dataset card has
    both.
    """

    min_evidence_gain: float | None = None
    """Least that the evidence adds to an answer's log-likelihood. If omitted, what `shuffled_share` of the shuffled
    answers exceed."""
    max_closed_book: float | None = None
    """Highest log-likelihood of an answer after its instruction alone. If omitted, half way from that of a shuffled
    answer to that of an answer with its evidence."""
    min_necessity: float | None = None
    """Least that an evidence document adds beside the others to count as needed; a task needs as many of them as it
    asks for. If omitted, what `shuffled_share` of the shuffled answers exceed."""
    max_distractor_share: NonNegativeFloat = 0.75
    """Most that unmarked passages may add, as a share of what the evidence adds."""
    shuffled_share: Share = 0.05
    """Share of shuffled answers that the omitted thresholds let pass."""
    min_judged: Annotated[int, Field(ge=1, le=5)] = 3
    """Least that a judge must give for relevance and for correctness, of 1 to 5."""


class VerificationConfig(Section):
    """Whether the answer of a long input needs its evidence, and all of it.

    That is measured without a teacher, by how likely the generator finds the answer with and without passages.
    """

    signals: bool = False
    """Measure how likely each answer is with and without its evidence. It generates nothing and reads more prompt
    tokens; `longstrap plan` says how many. With an endpoint, `/v1/completions` must know `echo` and `logprobs`, as
    vLLM's does; rows of others are kept as not verified."""
    evidence_tokens: PositiveInt = 2048
    """Most tokens of passages in one measurement; longer ones are cut."""
    max_left_out: PositiveInt = 4
    """Most evidence documents of an answer that are left out, one at a time."""
    num_distractors: NonNegativeCount = 3
    """Unmarked passages to measure: those that share most words with the answer."""
    marked_share: Share = 0.5
    """A passage that adds this share of what all the evidence adds becomes evidence too."""
    num_shuffled_rows: NonNegativeCount = 64
    """Rows whose evidence is measured with the answer of another row, once all are made."""
    judge: GeneratorConfig | None = None
    """Another generator that reads instruction, evidence and answer, and judges relevance and correctness."""
    thresholds: Annotated[ThresholdConfig, Field(json_schema_extra=OPERATIONAL)] = ThresholdConfig()
    """Applied when the dataset is finished; another value asks nothing again."""

    @property
    def is_on(self) -> bool:
        """Whether anything is measured or judged."""
        return self.signals or self.judge is not None
