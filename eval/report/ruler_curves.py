"""RULER plot: each model's mean by length, next to published results."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from app.canvas import COLOURS, FONT_POINTS, INK, PALE_INK, draw_grid, finish, frame, start_figure
from app.quantities import length_labels
from eval.report.contents import PublishedRow, RulerResult, Score
from eval.report.labels import shortened
from eval.report.ruler_tables import marked_rows, ruler_lengths

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

BASE_COLOUR = "#6b6b6b"
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*")
AXES_INCHES = 3.5
LEGEND_ROW_INCHES = 0.2
MAX_NAME_CHARS = 46
LETTERS = "abcdef"
"""Of the published lines: with more of them none could be followed."""
LETTER_GAP = 0.052
"""Least distance of two letters, as a share of the axis."""


def draw_ruler(
    results: list[RulerResult],
    base: RulerResult | None,
    published: Sequence[PublishedRow],
    threshold: float | None,
) -> bytes:
    """The curves as a PNG. A gap breaks its line.

    Args:
        results: At least one.
        base: One of them, drawn in grey beside others.
        published: Thin dashed lines, of those that reach furthest; the tables have all.
        threshold: Threshold of the effective length.
    """
    lengths = ruler_lengths(results)
    shown = _chosen(marked_rows(published, lengths), lengths)
    figure = start_figure(AXES_INCHES + LEGEND_ROW_INCHES * (len(results) + len(shown) + 1) + 0.15)
    axes = figure.subplots()
    _draw_axes(axes, results, [row for _, row in shown], lengths)
    handles: list[Line2D] = []
    colours = iter(COLOURS * len(results))
    for index, result in enumerate(results):
        colour = BASE_COLOUR if result is base and len(results) > 1 else next(colours)
        handles.append(_draw_model(axes, result, lengths, colour, MARKERS[index % len(MARKERS)]))
    ends = []
    for letter, (name, row) in zip(LETTERS, shown, strict=False):
        places = [place for place, length in enumerate(lengths) if length in row.means]
        means = [row.means[lengths[place]] for place in places]
        [line] = axes.plot(
            places,
            means,
            color=PALE_INK,
            linewidth=0.9,
            linestyle=(0, (4, 3)),
            marker="." if len(places) == 1 else None,
            label=f"{letter}  {shortened(name, MAX_NAME_CHARS)}",
            zorder=1.5,
        )
        handles.append(line)
        ends.append((means[-1], places[-1], letter))
    _write_letters(axes, ends)
    if threshold is not None:
        label = f"effective length: above {threshold:g}"
        handles.append(axes.axhline(threshold, color=INK, linewidth=1.0, linestyle=(0, (1, 2)), label=label))
    figure.legend(
        handles=handles,
        loc="outside lower left",
        fontsize=FONT_POINTS - 1,
        frameon=False,
        labelspacing=0.3,
        borderaxespad=0.2,
        labelcolor=INK,
    )
    return finish(figure)


def _chosen(rows: list[tuple[str, PublishedRow]], lengths: list[int]) -> list[tuple[str, PublishedRow]]:
    """Each model once, those first that are known at the longest of the lengths."""
    of_model = {row.model: (name, row) for name, row in reversed(rows)}
    first_rows = [(name, row) for name, row in rows if of_model[row.model] == (name, row)]
    first_rows.sort(key=lambda named: -max(length for length in lengths if length in named[1].means))
    return first_rows[: len(LETTERS)]


def _draw_axes(
    axes: "Axes", results: list[RulerResult], published: Sequence[PublishedRow], lengths: list[int]
) -> None:
    frame(axes, "RULER, mean of the tasks (%)")
    values = [mean for result in results for mean in result.means.values() if mean is not None]
    values += [row.means[length] for row in published for length in lengths if length in row.means]
    values += [low for result in results for low, _ in result.intervals.values()]
    lowest = min([*values, 90.0])
    step = 10 if lowest > 40 else 20
    bottom = max(step * int((lowest - 1) // step), 0)
    axes.set_ylim(bottom, 101)
    axes.set_yticks(range(bottom, 101, step))
    axes.set_xlim(-0.25, len(lengths) - 1 + 0.45)
    axes.set_xticks(range(len(lengths)), length_labels(lengths))
    note = "; dashed: published" if published else ""
    axes.set_xlabel(f"length, tokens{note}", fontsize=FONT_POINTS, color=INK)
    draw_grid(axes)


def _draw_model(axes: "Axes", result: RulerResult, lengths: list[int], colour: str, marker: str) -> "Line2D":
    """The curve, with its confidence band; a band of one length alone is a stroke."""
    gap = (float("nan"), float("nan"))
    means = [_number(result.means.get(length)) for length in lengths]
    lows, highs = zip(*(result.intervals.get(length, gap) for length in lengths), strict=True)
    places = range(len(lengths))
    axes.fill_between(places, lows, highs, color=colour, alpha=0.14, linewidth=0)
    axes.vlines(places, lows, highs, color=colour, alpha=0.4, linewidth=1.0)
    [line] = axes.plot(
        places,
        means,
        color=colour,
        marker=marker,
        markersize=5,
        linewidth=2.0,
        label=shortened(result.model, MAX_NAME_CHARS),
        zorder=3,
    )
    return line


def _write_letters(axes: "Axes", ends: list[tuple[float, int, str]]) -> None:
    """Write each published line's letter after its end, moved apart where letters would overlap."""
    low, high = axes.get_ylim()
    for place in {place for _, place, _ in ends}:
        here = sorted((mean, letter) for mean, at, letter in ends if at == place)
        for height, (_, letter) in zip(
            _apart([mean for mean, _ in here], LETTER_GAP * (high - low)), here, strict=True
        ):
            axes.annotate(
                letter,
                (place, height),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                fontsize=FONT_POINTS - 1,
                color=PALE_INK,
            )


def _apart(heights: list[float], least: float) -> list[float]:
    """The heights, in ascending order, moved as little as needed to keep this distance between neighbours."""
    for _ in range(100):
        near = [(i, least - (b - a)) for i, (a, b) in enumerate(pairwise(heights)) if b - a < 0.999 * least]
        for index, missing in near:
            heights[index] -= missing / 2
            heights[index + 1] += missing / 2
        if not near:
            break
    return heights


def _number(score: Score) -> float:
    return float("nan") if score is None else score
