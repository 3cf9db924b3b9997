"""Scores of a model's records by task and length, their means, and the model's effective length."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from eval.records import Record
from eval.ruler.definitions import TASKS
from eval.scoring import Mean, mean_with_interval, string_match_all, string_match_part

EFFECTIVE_ABOVE = 85.6
"""Llama2-7B-chat at 4K tokens, in percent: a length is read effectively where the mean is above it (RULER)."""
_METRICS = {"all": string_match_all, "part": string_match_part}


@dataclass(frozen=True, slots=True)
class TaskScore:
    """One task at one length."""

    task: str
    length_tokens: int
    num_expected: int
    num_answered: int
    num_failed: int
    """Requests that failed."""
    score: Mean | None
    """Mean score in percent; None if samples are missing, or failed and do not count as wrong."""

    @property
    def num_missing(self) -> int:
        """Samples that have not been sent yet."""
        return self.num_expected - self.num_answered - self.num_failed


@dataclass(frozen=True, slots=True)
class RulerScores:
    """All tasks and lengths of one model."""

    tasks: list[str]
    lengths_tokens: list[int]
    """Lengths in ascending order."""
    cells: dict[tuple[str, int], TaskScore]
    """Scores by task and length, without gaps."""
    means: dict[int, Mean | None]
    """Unweighted mean of the tasks by length, in percent; None if a task has no score."""

    @property
    def is_comparable(self) -> bool:
        """Whether the means are over the 13 tasks that published ones are over."""
        return set(self.tasks) == set(TASKS)

    @property
    def mean(self) -> float | None:
        """Mean of the means of the lengths."""
        return self._weighted([1] * len(self.lengths_tokens))

    @property
    def mean_increasing(self) -> float | None:
        """RULER's wAvg. (inc): the i-th shortest length counts i times."""
        return self._weighted(range(1, len(self.lengths_tokens) + 1))

    @property
    def mean_decreasing(self) -> float | None:
        """RULER's wAvg. (dec): the i-th longest length counts i times."""
        return self._weighted(range(len(self.lengths_tokens), 0, -1))

    @property
    def effective_length_tokens(self) -> int | None:
        """The longest length whose mean is above `EFFECTIVE_ABOVE`; None: there is none."""
        values = {length: mean.value for length, mean in self.means.items() if mean is not None}
        return effective_length(values)

    def _weighted(self, weights: Iterable[int]) -> float | None:
        means = [self.means[length] for length in self.lengths_tokens]
        values = [mean.value for mean in means if mean is not None]
        return weighted_mean(values, list(weights)) if len(values) == len(means) else None


def score_ruler(
    records: Iterable[Record],
    num_expected: Mapping[tuple[str, int], int],
    failures_count_as_wrong: bool,
    seed: int = 0,
) -> RulerScores:
    """Score all records of a model.

    Args:
        records: Records of expected samples, at most one of each.
        num_expected: Task and length → samples that there are.
        failures_count_as_wrong: A request that failed for good is a wrong answer; else its task has no score.
        seed: Seed of the intervals.
    """
    by_cell: dict[tuple[str, int], list[Record]] = defaultdict(list)
    for record in records:
        by_cell[record.task, record.length_tokens].append(record)
    tasks = [task for task in TASKS if any(task == asked for asked, _ in num_expected)]
    lengths = sorted({length for _, length in num_expected})
    cells: dict[tuple[str, int], TaskScore] = {}
    means: dict[int, Mean | None] = {}
    for length in lengths:
        groups = []
        for task in tasks:
            expected = num_expected.get((task, length), 0)
            found = by_cell[task, length]
            percents = _percents(task, found, expected, failures_count_as_wrong)
            num_failed = sum(record.reply is None for record in found)
            score = mean_with_interval([percents], seed) if percents else None
            num_answered = len(found) - num_failed
            cells[task, length] = TaskScore(task, length, expected, num_answered, num_failed, score)
            groups.append(percents)
        means[length] = mean_with_interval(groups, seed) if all(groups) else None
    return RulerScores(tasks, lengths, cells, means)


def record_score(record: Record) -> float:
    """Score of one sample, in [0, 1]; 0 without a reply."""
    if record.reply is None:
        return 0.0
    return _METRICS[TASKS[record.task].metric](record.reply.text, record.references)


def weighted_mean(values: Sequence[float], weights: Sequence[int]) -> float:
    """Weighted mean of the values, with one weight each."""
    return sum(value * weight for value, weight in zip(values, weights, strict=True)) / sum(weights)


def effective_length(means: Mapping[int, float]) -> int | None:
    """The longest length whose mean, in percent, is above `EFFECTIVE_ABOVE`; None: there is none."""
    return max((length for length, mean in means.items() if mean > EFFECTIVE_ABOVE), default=None)


def _percents(
    task: str, records: Sequence[Record], num_expected: int, failures_count_as_wrong: bool
) -> list[float]:
    """Score of each sample in percent; empty if a sample is missing, or failed and does not count as wrong."""
    assert len(records) <= num_expected, f"{task}: {len(records)} records of {num_expected} samples"
    num_failed = sum(record.reply is None for record in records)
    if len(records) < num_expected or (num_failed and not failures_count_as_wrong):
        return []
    return [100 * record_score(record) for record in records]
