"""Heatmap of the needle test: lengths × depths, one panel per model."""

from typing import TYPE_CHECKING

from app.canvas import FONT_POINTS, INK, PALE_INK, finish, frame, start_figure
from app.quantities import length_labels
from eval.report.contents import NiahResult, mean_score
from eval.report.labels import depth_label, score_label, shortened, whole_label
from eval.report.score_colours import score_colours, score_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW_INCHES = 0.25
MAX_GRID_INCHES = 4.0
FRAME_INCHES = 0.62
"""Title and labels of a panel."""
FOOT_INCHES = 0.85
MAX_DEPTH_LABELS = 11
LEAST_NUMBER_POINTS = 5.0
GRID_WIDTH_POINTS = 270.0
MAX_TITLE_CHARS = 34


def draw_niah(results: list[NiahResult]) -> bytes:
    """All models' heatmaps as one PNG, one under another, on the same scale.

    Args:
        results: At least one.
    """
    grids = [min(ROW_INCHES * len(result.depths_percent), MAX_GRID_INCHES) for result in results]
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    figure = start_figure(sum(grids) + FRAME_INCHES * len(results) + FOOT_INCHES)
    panels = figure.subplots(len(results), 1, squeeze=False, gridspec_kw={"height_ratios": grids})[:, 0]
    for axes, result, inches in zip(panels, results, grids, strict=True):
        _draw_panel(axes, result, inches)
    panels[-1].set_xlabel("prompt length, tokens", fontsize=FONT_POINTS, color=INK)
    bar = figure.colorbar(
        ScalarMappable(Normalize(0, 100), score_scale()),
        ax=list(panels),
        location="bottom",
        aspect=32,
        pad=0.015,
        shrink=0.9,
    )
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=FONT_POINTS - 1, colors=INK, length=0)
    has_gaps = any(score is None for result in results for row in result.scores for score in row)
    hatched = "; hatched: no score" if has_gaps else ""
    bar.set_label(f"needles found, %{hatched}", fontsize=FONT_POINTS, color=INK)
    return finish(figure)


def _draw_panel(axes: "Axes", result: NiahResult, inches: float) -> None:
    from matplotlib.patches import Rectangle

    num_rows, num_columns = len(result.depths_percent), len(result.lengths_tokens)
    row_points, column_points = 72 * inches / num_rows, GRID_WIDTH_POINTS / num_columns
    points = min(FONT_POINTS, 0.68 * row_points, 0.42 * column_points)
    for y, row in enumerate(result.scores):
        for x, score in enumerate(row):
            corner = (x - 0.5, y - 0.5)
            if score is None:
                gap = Rectangle(
                    corner, 1, 1, facecolor="#f1f1f1", edgecolor="#a0a0a0", hatch="////", linewidth=0
                )
                axes.add_patch(gap)
                continue
            colour, ink = score_colours(score)
            axes.add_patch(Rectangle(corner, 1, 1, facecolor=colour, edgecolor="white", linewidth=1))
            if points >= LEAST_NUMBER_POINTS:
                axes.text(x, y, whole_label(score), ha="center", va="center", fontsize=points, color=ink)
    mean = mean_score([score for row in result.scores for score in row])
    frame(axes, shortened(result.model, MAX_TITLE_CHARS))
    axes.set_title(
        f"mean {score_label(mean)}" if mean is not None else "",
        loc="right",
        fontsize=FONT_POINTS,
        color=PALE_INK,
        pad=7,
    )
    axes.set_xlim(-0.5, num_columns - 0.5)
    axes.set_ylim(num_rows - 0.5, -0.5)
    axes.set_xticks(range(num_columns), length_labels(result.lengths_tokens))
    step = -(-num_rows // MAX_DEPTH_LABELS)
    places = range(0, num_rows, step)
    axes.set_yticks(places, [depth_label(result.depths_percent[place]) for place in places])
    axes.set_ylabel("depth", fontsize=FONT_POINTS, color=INK)
