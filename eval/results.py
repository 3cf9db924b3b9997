"""Converts each suite's own scores into the report's results."""

from collections.abc import Sequence

from app.config import EvaluateConfig
from eval.outcomes import count_outcomes
from eval.recall.scores import RecallScore as RecallSuiteScore
from eval.records import Record
from eval.report.contents import (
    Interval,
    RecallResult,
    RecallScore,
    RulerResult,
    ShortResult,
    ShortScore,
)
from eval.ruler.definitions import TASKS
from eval.ruler.published import PUBLISHED_DIFFER
from eval.ruler.scores import RulerScores, score_ruler
from eval.scoring import Mean
from eval.short.scores import ShortScores

PUBLISHED_SAMPLES = 500
"""Samples per task and length in RULER's README and papers."""


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
        counts=count_outcomes(records, sum(expected.values()), settings.failures_count_as_wrong),
        intervals={length: (mean.low, mean.high) for length, mean in means.items()},
        weighted_means={
            "mean": scores.mean,
            "weighted to the longer": scores.mean_increasing,
            "weighted to the shorter": scores.mean_decreasing,
        },
        effective_length_tokens=scores.effective_length_tokens if scores.is_comparable else None,
        task_intervals={task: _task_intervals(scores, task) for task in scores.tasks},
        num_samples=ruler.num_samples,
        num_copies=_num_copies(records),
        remarks=ruler_remarks(settings),
    )


def _task_intervals(scores: RulerScores, task: str) -> dict[int, Interval]:
    found = {length: scores.cells[task, length].score for length in scores.lengths_tokens}
    return {length: (mean.low, mean.high) for length, mean in found.items() if mean is not None}


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
            intervals={
                name: (mean.low, mean.high)
                for name, mean in (
                    ("true_context", score.true_followed),
                    ("follows_context", score.changed_followed),
                    ("follows_memory", score.changed_remembered),
                    ("follows_both", score.both_followed),
                    ("closed_book", score.closed_book),
                )
                if mean is not None
            },
        )
        for score in scores
    ]
    counts = count_outcomes(records, len(records), settings.failures_count_as_wrong)
    return RecallResult(model, shown, counts)


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
        scores.remarks,
    )


def protocol_differences(settings: EvaluateConfig) -> list[str]:
    """In what our prompts and means differ from those of published rows; empty: they may stand side by side."""
    ruler, sampling = settings.ruler, settings.sampling
    tasks = ruler.tasks or list(TASKS)
    differs = {
        f"means are over {len(tasks)} of the {len(TASKS)} tasks": set(tasks) != set(TASKS),
        "the haystack is not RULER's": ruler.haystack is not None,
        "evaluate.ruler.data may hold other texts": ruler.data is not None,
        "prompts were sent as chats": settings.api != "completions",
        "replies were sampled": bool(sampling.temperature) or sampling.top_p is not None,
        "replies had tokens for thought": sampling.thinking_tokens > 0,
    }
    return [words for words, is_so in differs.items() if is_so]


def ruler_remarks(settings: EvaluateConfig) -> list[str]:
    """What must be known before means are compared with published ones."""
    differences = protocol_differences(settings)
    if differences:
        return [f"No published rows are shown, as the protocol differs: {'; '.join(differences)}."]
    few = settings.ruler.num_samples
    remarks = [PUBLISHED_DIFFER]
    if few < PUBLISHED_SAMPLES:
        remarks.append(
            f"Published rows are over {PUBLISHED_SAMPLES} samples per task and length; these are over {few}."
        )
    return remarks


def _num_copies(records: Sequence[Record]) -> dict[int, int]:
    """The most copies of a text at each length, of prose alone: lines of noise are repeated on purpose."""
    found: dict[int, int] = {}
    for record in records:
        if record.task not in ("niah_single_1", "vt") and record.facts.get("num_copies", 1) > 1:
            found[record.length_tokens] = max(found.get(record.length_tokens, 1), record.facts["num_copies"])
    return dict(sorted(found.items()))


def _value(mean: Mean | None) -> float | None:
    return None if mean is None else mean.value
