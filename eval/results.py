"""Converts each suite's own scores into the report's results."""

from collections.abc import Sequence

from app.config import EvaluateConfig
from eval.recall.scores import RecallScore as RecallSuiteScore
from eval.records import Record
from eval.report.contents import (
    Counts,
    RecallResult,
    RecallScore,
    RulerResult,
    ShortResult,
    ShortScore,
)
from eval.ruler.definitions import TASKS
from eval.ruler.scores import RulerScores, score_ruler
from eval.scoring import Mean
from eval.short.scores import ShortScores

OWN_HAYSTACK_REMARK = "The haystack is not RULER's: scores are not comparable with published ones."


def ruler_result(model: str, settings: EvaluateConfig, records: Sequence[Record], seed: int) -> RulerResult:
    """RULER's scores of one model.

    Args:
        model: What it is called.
        settings: Tasks and lengths, without those that the model cannot read.
        records: Records of all samples.
        seed: Seed of the confidence intervals.
    """
    ruler = settings.ruler
    tasks = ruler.tasks or list(TASKS)
    expected = {(task, length): ruler.num_samples for length in ruler.lengths_tokens for task in tasks}
    scores = score_ruler(records, expected, settings.failures_count_as_wrong, seed)
    means = {length: mean for length, mean in scores.means.items() if mean is not None}
    return RulerResult(
        model=model,
        lengths_tokens=scores.lengths_tokens,
        scores={
            task: {length: _value(scores.cells[task, length].score) for length in scores.lengths_tokens}
            for task in scores.tasks
        },
        means={length: _value(mean) for length, mean in scores.means.items()},
        counts=_counts(settings, records, sum(expected.values())),
        intervals={length: (mean.low, mean.high) for length, mean in means.items()},
        weighted_means={
            "mean": scores.mean,
            "weighted to the longer": scores.mean_increasing,
            "weighted to the shorter": scores.mean_decreasing,
        },
        effective_length_tokens=scores.effective_length_tokens if scores.is_comparable else None,
        num_copies=_num_copies(records),
        remarks=_ruler_remarks(settings, scores),
    )


def recall_result(
    model: str, settings: EvaluateConfig, records: Sequence[Record], scores: Sequence[RecallSuiteScore]
) -> RecallResult:
    """What one model's answers follow."""
    shown = [
        RecallScore(
            kind=score.kind,
            length_tokens=score.length_tokens,
            num_questions=score.num_questions,
            true_context=_value(score.true_followed),
            follows_context=_value(score.changed_followed),
            follows_memory=_value(score.changed_remembered),
            follows_both=_value(score.both_followed),
            closed_book=_value(score.closed_book),
        )
        for score in scores
    ]
    return RecallResult(model, shown, _counts(settings, records, len(records)))


def short_result(scores: ShortScores) -> ShortResult:
    """One model's short tasks, in percent."""
    return ShortResult(
        scores.model,
        [
            ShortScore(
                task=score.task,
                metric=score.metric,
                score=100 * score.score,
                standard_error=None if score.stderr is None else 100 * score.stderr,
                num_samples=score.num_samples,
            )
            for score in scores.headlines
        ],
    )


def _ruler_remarks(settings: EvaluateConfig, scores: RulerScores) -> list[str]:
    remarks = []
    if not scores.is_comparable:
        remarks.append(
            f"Means are over {len(scores.tasks)} of the {len(TASKS)} tasks: not comparable with published ones."
        )
    if settings.ruler.haystack is not None:
        remarks.append(OWN_HAYSTACK_REMARK)
    return remarks


def _counts(settings: EvaluateConfig, records: Sequence[Record], num_samples: int) -> Counts:
    return Counts(
        num_samples=num_samples,
        num_failed=sum(record.reply is None for record in records),
        num_missing=num_samples - len(records),
        failures_count_as_wrong=settings.failures_count_as_wrong,
    )


def _num_copies(records: Sequence[Record]) -> dict[int, int]:
    """The most copies of a text at each length, of prose alone: lines of noise are repeated on purpose."""
    found: dict[int, int] = {}
    for record in records:
        if record.task not in ("niah_single_1", "vt") and record.facts.get("num_copies", 1) > 1:
            found[record.length_tokens] = max(found.get(record.length_tokens, 1), record.facts["num_copies"])
    return dict(sorted(found.items()))


def _value(mean: Mean | None) -> float | None:
    return None if mean is None else mean.value
