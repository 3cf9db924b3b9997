"""RULER tables: means by length next to published ones, tasks by length, differences to the base."""

from collections.abc import Callable, Sequence

from app.quantities import length_label, length_labels
from eval.report.contents import PublishedRow, RulerResult, Score, difference
from eval.report.labels import GAP, difference_label, score_label
from eval.report.tables import Table

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
            rows.append(["95% interval", *_interval_cells(result, lengths), *[""] * (len(weighted) + 1)])
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


def ruler_task_table(result: RulerResult) -> Table:
    """Tasks × lengths."""
    return _task_table(
        f"{result.model}: RULER by task and length, in percent",
        result,
        lambda task, length: result.scores[task].get(length),
        result.means.get,
        score_label,
    )


def ruler_difference_table(result: RulerResult, base: RulerResult) -> Table:
    """Tasks × lengths, points above or below the base."""
    return _task_table(
        f"{result.model} against {base.model}: RULER by task and length, in points",
        result,
        lambda task, length: difference(
            result.scores[task].get(length), base.scores.get(task, {}).get(length)
        ),
        lambda length: difference(result.means.get(length), base.means.get(length)),
        difference_label,
    )


def _task_table(
    caption: str,
    result: RulerResult,
    score: Callable[[str, int], Score],
    mean: Callable[[int], Score],
    label: Callable[[Score], str],
) -> Table:
    lengths = result.lengths_tokens
    rows = [[task, *(label(score(task, length)) for length in lengths)] for task in result.scores]
    means = ["mean", *(label(mean(length)) for length in lengths)]
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


def _interval_cells(result: RulerResult, lengths: list[int]) -> list[str]:
    intervals = [result.intervals.get(length) for length in lengths]
    return [f"{interval[0]:.1f}–{interval[1]:.1f}" if interval else "" for interval in intervals]


def _change_cells(
    result: RulerResult, base: RulerResult, lengths: list[int], weighted: list[str]
) -> list[str]:
    changes = [difference(result.means.get(length), base.means.get(length)) for length in lengths]
    changes += [
        difference(result.weighted_means.get(name), base.weighted_means.get(name)) for name in weighted
    ]
    return [difference_label(change) for change in changes]
