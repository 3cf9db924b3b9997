"""The report's tables as text cells, which `markdown`, `section` and `terminal` format."""

from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from app.quantities import length_label, length_labels
from eval.report.contents import (
    NiahResult,
    RecallResult,
    ShortResult,
    ShortScore,
    TaskScore,
    TasksResult,
    difference,
)
from eval.report.labels import (
    GAP,
    depth_label,
    difference_label,
    interval_label,
    score_and_interval,
    score_label,
    whole_label,
)
from eval.scoring import wilson_interval

INTERVAL_ROW, SAMPLES_ROW, CHANCE_ROW = "95% interval", "samples", "chance"
MEAN_OF_TASKS = "mean of the tasks"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under a caption; the first column names the row, and others hold numbers."""

    caption: str
    columns: list[str]
    rows: list[list[str]]
    emphasized: set[int] = field(default_factory=set)
    """Numbers of the rows that matter most, e.g. means."""
    explaining: set[int] = field(default_factory=set)
    """Numbers of the rows that tell more of the one above, and stay with it wherever the table is sorted."""
    has_total: bool = False
    """Whether the last row sums up all others, and stays the last."""
    num_text_columns: int = 1
    """Columns from the left that hold text; all others hold numbers."""


class _Result(Protocol):
    @property
    def model(self) -> str: ...


ResultType = TypeVar("ResultType", bound=_Result)


def result_of(model: str, results: list[ResultType]) -> ResultType | None:
    """The model's among several results; None: the suite was not asked of it."""
    return next((result for result in results if result.model == model), None)


def niah_table(result: NiahResult) -> Table:
    """Depths × lengths."""
    rows = [
        [depth_label(depth), *map(whole_label, scores)]
        for depth, scores in zip(result.depths_percent, result.scores, strict=True)
    ]
    means = ["mean", *(score_label(result.mean(length)) for length in result.lengths_tokens)]
    return Table(
        f"{result.model}: needles found, in percent, by depth and length",
        ["depth", *length_labels(result.lengths_tokens)],
        [*rows, means],
        {len(rows)},
        has_total=True,
    )


def niah_means_table(results: list[NiahResult]) -> Table:
    """Models × lengths: means over all depths and trials, with confidence intervals and numbers of samples."""
    lengths = sorted({length for result in results for length in result.lengths_tokens})
    rows: list[list[str]] = []
    emphasized, explaining = set(), set()
    for result in results:
        first = len(rows)
        means = [result.mean(length) if length in result.lengths_tokens else None for length in lengths]
        rows.append([result.model, *map(score_label, means)])
        rows.append([INTERVAL_ROW, *(interval_label(result.intervals.get(length)) for length in lengths)])
        counts = [result.num_samples.get(length) for length in lengths]
        rows.append([SAMPLES_ROW, *(f"{count:,}" if count else "" for count in counts)])
        emphasized.add(first)
        explaining |= {first + 1, first + 2}
    return Table(
        "Needles found, mean of depths and trials by length, in percent",
        ["model", *length_labels(lengths)],
        rows,
        emphasized,
        explaining,
    )


def short_table(results: list[ShortResult], base: ShortResult | None) -> Table:
    """Tasks and metrics × models, with the points that each is above or below the base.

    Args:
        results: At least one.
        base: One of them.
    """
    scores = {
        result.model: {(score.task, score.metric): score for score in result.scores} for result in results
    }
    of_base = scores[base.model] if base else {}
    rows = [
        [
            f"{key[0]}, {key[1]}",
            *(
                _short_cell(scores[result.model].get(key), None if result is base else of_base.get(key))
                for result in results
            ),
        ]
        for key in dict.fromkeys(key for of_model in scores.values() for key in of_model)
    ]
    against = f"; in brackets the points above or below {base.model}" if base and len(results) > 1 else ""
    return Table(
        f"Short tasks, in percent, with standard errors or 95% intervals{against}", ["task", *scores], rows
    )


def recall_table(results: list[RecallResult]) -> Table:
    """Models, kinds of questions and lengths × what answers follow."""
    rows = [
        [
            f"{result.model}, {score.kind}, {length_label(score.length_tokens)}",
            *(
                score_and_interval(getattr(score, name), score.intervals.get(name))
                for name in (
                    "true_context",
                    "follows_context",
                    "follows_both",
                    "follows_memory",
                    "closed_book",
                )
            ),
            f"{score.num_questions:,}",
        ]
        for result in results
        for score in result.scores
    ]
    return Table(
        "Answers that follow the true context, a changed one, or both; that stick to memory against the changed one; "
        "that are right without any: percent of the questions, with 95% intervals",
        ["model", "true", "changed", "both", "memory", "none", "questions"],
        rows,
    )


def tasks_table(title: str, results: list[TasksResult], has_intervals: bool = True) -> Table:
    """Models and tasks × lengths, with the numbers of samples and what guessing scores."""
    lengths = sorted({score.length_tokens for result in results for score in result.scores})
    rows: list[list[str]] = []
    emphasized, explaining = set(), set()
    for result in results:
        for task in dict.fromkeys(score.task for score in result.scores):
            first = len(rows)
            cells = {score.length_tokens: score for score in result.scores if score.task == task}
            found = [cells.get(length) for length in lengths]
            rows.append([f"{result.model}, {task}", *(_task_cell(cell, has_intervals) for cell in found)])
            if task == MEAN_OF_TASKS:
                emphasized.add(first)
            rows.append([SAMPLES_ROW, *(f"{cell.num_samples:,}" if cell else "" for cell in found)])
            if any(cell is not None and cell.chance is not None for cell in found):
                chances = [
                    score_label(cell.chance) if cell and cell.chance is not None else "" for cell in found
                ]
                rows.append([CHANCE_ROW, *chances])
            explaining |= set(range(first + 1, len(rows)))
    return Table(
        f"{title}, by task and length, in percent{', with 95% intervals' if has_intervals else ''}",
        ["model", *length_labels(lengths)],
        rows,
        emphasized,
        explaining,
    )


def answers_table(result: TasksResult) -> Table:
    """Questions, what is right, and what a model said."""
    rows = [
        [each.question, each.wanted, each.reply or "(nothing)", score_label(each.score)]
        for each in result.answers
    ]
    return Table(
        f"{result.model}: answers",
        ["question", "right answer", "reply", "score"],
        rows,
        num_text_columns=3,
    )


def _task_cell(cell: TaskScore | None, has_intervals: bool) -> str:
    if cell is None:
        return ""
    return score_and_interval(cell.score, cell.interval if has_intervals else None)


def _short_cell(score: ShortScore | None, base: ShortScore | None) -> str:
    if score is None:
        return GAP
    error = f" ±{score.standard_error:.1f}" if score.standard_error and score.score is not None else ""
    if not error and score.score is not None and 0 <= score.score <= 100 and score.num_samples:
        # A standard error of 0 says that the questions are too few, not that the score is certain.
        error = f" ({interval_label(wilson_interval(score.score, score.num_samples))})"
    change = difference(score.score, base.score) if base else None
    against = f" ({difference_label(change)})" if change is not None else ""
    return f"{score_label(score.score)}{error}{against}, n={score.num_samples:,}"
