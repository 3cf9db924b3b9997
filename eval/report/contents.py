"""The contents of a report: one result per model and suite. All scores are in percent, as is usual in publications.

A score that is None is a gap: it was not measured in full, and no table or picture gives it as a number.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Score = float | None
Interval = tuple[float, float]
"""Ends of a 95% confidence interval, in percent."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many samples of a result were answered, failed, or are missing."""

    num_samples: int
    """Samples that the settings request."""
    num_failed: int = 0
    """Samples that failed, each with a recorded reason."""
    num_missing: int = 0
    """Samples that have not been sent yet."""
    failures_count_as_wrong: bool = False
    """Whether failed samples count as wrong. Otherwise their task has no score."""
    num_filtered: int = 0
    """Failed samples whose reply the endpoint held back."""
    num_cut: int = 0
    """Replies that their limit ended; their text is scored."""
    num_empty: int = 0
    """Replies without any text; they are wrong."""
    num_only_thought: int = 0
    """Replies of a reasoning model that holds no answer; they are wrong."""
    limits_tokens: dict[str, list[int]] = field(default_factory=dict)
    """Kind of replies (`cut`, `empty`, `only thought`) → limits that ended some of them, ascending."""

    @property
    def num_answered(self) -> int:
        """Replies with a text."""
        num_without = self.num_failed + self.num_missing + self.num_empty + self.num_only_thought
        return self.num_samples - num_without


@dataclass(frozen=True, slots=True)
class NiahResult:
    """Needle-in-a-haystack result of one model."""

    model: str
    lengths_tokens: list[int]
    """Lengths in ascending order."""
    depths_percent: list[float]
    """Requested depths, in ascending order."""
    scores: list[list[Score]]
    """`[depths][lengths]`."""
    placed_percent: list[list[Score]]
    """`[depths][lengths]`: mean actual position of the needles."""
    counts: Counts
    num_copies: dict[int, int] = field(default_factory=dict)
    """Copies of the haystack's text by length, for lengths where one copy was too short."""
    prefill_share: float | None = None
    """Share of the prompt tokens that the server computed rather than found in its prefix cache."""
    intervals: dict[int, Interval] = field(default_factory=dict)
    """Length → confidence interval of the mean over all depths and trials."""
    num_samples: dict[int, int] = field(default_factory=dict)
    """Length → samples that its mean is over."""

    @property
    def is_measured(self) -> bool:
        """Whether the model reads any of the lengths."""
        return bool(self.lengths_tokens)

    def mean(self, length_tokens: int) -> Score:
        """Mean over all depths at a length."""
        column = self.lengths_tokens.index(length_tokens)
        return mean_score([row[column] for row in self.scores])


class PublishedRow(Protocol):
    """Published RULER means of a model."""

    @property
    def model(self) -> str: ...

    @property
    def source(self) -> str:
        """Where."""

    @property
    def means(self) -> dict[int, float]:
        """Length → mean of the 13 tasks."""


@dataclass(frozen=True, slots=True)
class RulerResult:
    """RULER result of one model."""

    model: str
    lengths_tokens: list[int]
    """Lengths in ascending order."""
    scores: dict[str, dict[int, Score]]
    """Task → length → score."""
    means: dict[int, Score]
    """Length → mean of the tasks."""
    counts: Counts
    intervals: dict[int, Interval] = field(default_factory=dict)
    """Length → confidence interval of the mean."""
    task_intervals: dict[str, dict[int, Interval]] = field(default_factory=dict)
    """Task → length → confidence interval of its score."""
    num_samples: int = 0
    """Samples per task and length."""
    weighted_means: dict[str, Score] = field(default_factory=dict)
    """Weighted means over the lengths, by name."""
    effective_length_tokens: int | None = None
    """The longest length above the threshold; None: there is none, or it can't be told."""
    num_copies: dict[int, int] = field(default_factory=dict)
    """Copies of the haystack's text by length, for lengths where one copy was too short."""
    remarks: list[str] = field(default_factory=list)
    """Remarks of the suite, e.g. why scores are not comparable."""
    published: Sequence[PublishedRow] = ()
    """Shown beside the means: empty where the protocol differs."""
    threshold: float | None = None
    """Mean that the effective length is measured against."""

    @property
    def is_measured(self) -> bool:
        """Whether the model reads any of the lengths."""
        return bool(self.lengths_tokens)


@dataclass(frozen=True, slots=True)
class ShortScore:
    """One metric of a short task."""

    task: str
    metric: str
    """With the filter of the replies, where a task has several."""
    score: Score
    standard_error: float | None
    num_samples: int


@dataclass(frozen=True, slots=True)
class ShortResult:
    """Short tasks, one model."""

    model: str
    scores: list[ShortScore]
    remarks: list[str] = field(default_factory=list)

    @property
    def is_measured(self) -> bool:
        """Whether there are scores."""
        return bool(self.scores)

    @property
    def counts(self) -> Counts | None:
        """None: lm-eval ends with all replies, or with an error."""
        return None


@dataclass(frozen=True, slots=True)
class RecallScore:
    """Answers to one kind of question at one length, as shares of the questions."""

    kind: str
    """Facts of the world, or invented chains."""
    length_tokens: int
    num_questions: int
    true_context: Score
    """Right answers, with the evidence as it is."""
    follows_context: Score
    """Answers of the changed evidence, with the evidence changed."""
    follows_memory: Score
    """Answers of the true evidence, with the evidence changed."""
    follows_both: Score
    """Answers of the evidence, true as well as changed: what neither guessing nor memory reaches."""
    closed_book: Score
    """Right answers without any context."""
    intervals: dict[str, Interval] = field(default_factory=dict)
    """Name of a share, as above → its confidence interval."""


@dataclass(frozen=True, slots=True)
class RecallResult:
    """Reasoning or recall, one model."""

    model: str
    scores: list[RecallScore]
    """Kind by kind, ascending by length."""
    counts: Counts
    remarks: list[str] = field(default_factory=list)

    @property
    def is_measured(self) -> bool:
        """Whether the model reads any of the lengths."""
        return bool(self.scores)


@dataclass(frozen=True, slots=True)
class TaskScore:
    """One task at one length."""

    task: str
    length_tokens: int
    score: Score
    interval: Interval | None
    num_samples: int
    chance: Score
    """What guessing scores on average; None: next to nothing, or not known."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A question and what a model said."""

    question: str
    wanted: str
    reply: str
    score: Score
    """None: the request failed, or the reply was not judged."""


@dataclass(frozen=True, slots=True)
class TasksResult:
    """A suite whose scores are means by task and length, one model."""

    model: str
    scores: list[TaskScore]
    """Task by task, ascending by length."""
    counts: Counts
    remarks: list[str] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    """What a page lists, of suites whose answers are worth reading."""

    @property
    def is_measured(self) -> bool:
        """Whether the model reads any of the lengths."""
        return bool(self.scores)


class SuiteResult(Protocol):
    """What a report takes of any suite: the result of one model."""

    @property
    def model(self) -> str: ...

    @property
    def counts(self) -> Counts | None:
        """What became of the requests; None: another library sent them."""

    @property
    def is_measured(self) -> bool:
        """Whether there is anything to show."""


@dataclass(frozen=True, slots=True)
class ReportContents:
    """One evaluation."""

    models: list[str]
    """The first is what the others are compared with."""
    results: dict[str, list[Any]]
    """Suite → the results of the models that it was asked of, each a `SuiteResult`, in the suites' order."""
    remarks: list[str] = field(default_factory=list)
    """What must be known of all suites that send prompts of ours."""
    wrong: dict[str, list[str]] = field(default_factory=dict)
    """Suite → its wrong answers, a line each."""

    def of(self, suite: str) -> list[Any]:
        """The results of one suite that have anything to show."""
        return [result for result in self.results.get(suite, []) if result.is_measured]


def mean_score(scores: list[Score]) -> Score:
    """None where one is missing: a mean of fewer scores would pass for the mean of all."""
    known = [score for score in scores if score is not None]
    return sum(known) / len(known) if known and len(known) == len(scores) else None


def difference(score: Score, base: Score) -> Score:
    return score - base if score is not None and base is not None else None
