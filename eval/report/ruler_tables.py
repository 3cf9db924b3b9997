"""RULER tables: means by length next to published ones, tasks by length, differences to the base."""

from collections.abc import Callable, Sequence

from app.quantities import length_label, length_labels
from eval.report.contents import PublishedRow, RulerResult, difference
from eval.report.labels import GAP, difference_label, interval_label, score_and_interval, score_label
from eval.report.tables import INTERVAL_ROW, SAMPLES_ROW, Table

SOURCE_MARKS = "¹²³⁴⁵⁶⁷⁸⁹"
AGAINST_BASE = "against base"


def ruler_lengths(results: list[RulerResult]) -> list[int]:
    """All lengths that were measured, ascending."""
    return sorted({length for result in results for length in result.lengths_tokens})


def marked_rows(published: Sequence[PublishedRow], lengths: list[int]) -> list[tuple[str, PublishedRow]]:
    """The rows that have one of the lengths, with their names, each ending with the mark of its source."""
    shown = [row for row in published if any(length in row.means for length in lengths)]
    sources = list(dict.fromkeys(row.source for row in shown))
    marks = {source: SOURCE_MARKS[index % len(SOURCE_MARKS)] for index, source in enumerate(sources)}
    return [(f"{row.model} {marks[row.source]}", row) for row in shown]


def ruler_means_table(
    results: list[RulerResult],
    base: RulerResult | None,
    published: Sequence[PublishedRow],
    has_intervals: bool = True,
) -> Table:
    """Models and published rows × lengths, each model but the base with its difference to it.

    Args:
        results: At least one.
        base: One of them.
        published: Published rows, shown if they have one of the lengths.
        has_intervals: With rows of confidence intervals.
    """
    lengths = ruler_lengths(results)
    weighted = list(dict.fromkeys(name for result in results for name in result.weighted_means))
    rows: list[list[str]] = []
    emphasized, explaining = set(), set()
    for result in results:
        first = len(rows)
        emphasized.add(first)
        rows.append(_mean_cells(result, lengths, weighted))
        if has_intervals and result.intervals:
            ends = [interval_label(result.intervals.get(length)) for length in lengths]
            rows.append([INTERVAL_ROW, *ends, *[""] * (len(weighted) + 1)])
            counts = [_num_samples(result, length) for length in lengths]
            rows.append([SAMPLES_ROW, *counts, *[""] * (len(weighted) + 1)])
        if base is not None and result is not base:
            rows.append([AGAINST_BASE, *_change_cells(result, base, lengths, weighted), ""])
        explaining |= set(range(first + 1, len(rows)))
    caption = ["RULER, mean of the tasks by length, in percent"]
    if base is not None and len(results) > 1:
        caption.append(f"base: {base.model}")
    marked = marked_rows(published, lengths)
    for name, row in marked:
        means = [score_label(row.means[length]) if length in row.means else "" for length in lengths]
        rows.append([name, *means, *[""] * (len(weighted) + 1)])
    sources = {name[-1]: row.source for name, row in marked}
    caption += [f"{mark} published: {source}" for mark, source in sources.items()]
    return Table(
        "; ".join(caption),
        ["model", *length_labels(lengths), *weighted, "effective"],
        rows,
        emphasized,
        explaining,
    )


def ruler_task_table(result: RulerResult, has_intervals: bool = True) -> Table:
    """Tasks × lengths.

    Args:
        result: What is shown.
        has_intervals: With a confidence interval behind each score.
    """

    def cell(task: str, length: int) -> str:
        interval = result.task_intervals.get(task, {}).get(length) if has_intervals else None
        return score_and_interval(result.scores[task].get(length), interval)

    def mean(length: int) -> str:
        interval = result.intervals.get(length) if has_intervals else None
        return score_and_interval(result.means.get(length), interval)

    ends = " with 95% intervals" if has_intervals and result.task_intervals else ""
    each = f"; {result.num_samples:,} samples each" if result.num_samples else ""
    caption = f"{result.model}: RULER by task and length, in percent{ends}{each}"
    return _task_table(caption, result, cell, mean)


def ruler_difference_table(result: RulerResult, base: RulerResult) -> Table:
    """Tasks × lengths, points above or below the base."""
    return _task_table(
        f"{result.model} against {base.model}: RULER by task and length, in points",
        result,
        lambda task, length: difference_label(
            difference(result.scores[task].get(length), base.scores.get(task, {}).get(length))
        ),
        lambda length: difference_label(difference(result.means.get(length), base.means.get(length))),
    )


def _task_table(
    caption: str,
    result: RulerResult,
    cell: Callable[[str, int], str],
    mean: Callable[[int], str],
) -> Table:
    lengths = result.lengths_tokens
    rows = [[task, *(cell(task, length) for length in lengths)] for task in result.scores]
    means = ["mean", *(mean(length) for length in lengths)]
    columns = ["task", *length_labels(lengths)]
    return Table(caption, columns, [*rows, means], {len(rows)}, has_total=True)


def _mean_cells(result: RulerResult, lengths: list[int], weighted: list[str]) -> list[str]:
    effective = result.effective_length_tokens
    return [
        result.model,
        *(score_label(result.means.get(length)) for length in lengths),
        *(score_label(result.weighted_means.get(name)) for name in weighted),
        length_label(effective) if effective is not None else GAP,
    ]


def _num_samples(result: RulerResult, length: int) -> str:
    """Samples of all tasks that a mean is over."""
    is_measured = length in result.intervals and result.num_samples
    return f"{result.num_samples * len(result.scores):,}" if is_measured else ""


def _change_cells(
    result: RulerResult, base: RulerResult, lengths: list[int], weighted: list[str]
) -> list[str]:
    changes = [difference(result.means.get(length), base.means.get(length)) for length in lengths]
    changes += [
        difference(result.weighted_means.get(name), base.weighted_means.get(name)) for name in weighted
    ]
    return [difference_label(change) for change in changes]
