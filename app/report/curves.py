"""Plots of the training: one value over the steps of all stages, with one colour per stage."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.canvas import COLOURS, FONT_POINTS, GRID, INK, LEGEND, finish, start_plot
from app.report.reading import TrainedStage

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_MARKED_STEPS = 40
"""With more, points would run into a line."""
MEAN_STEPS = 20
"""That the strong line is the mean of, where there are many: a step's loss says little."""


def draw_curve(
    stages: Sequence[TrainedStage], name: str, title: str, y_label: str, is_noisy: bool = True
) -> bytes:
    """A value of the steps' records over the steps, as a PNG.

    Args:
        stages: In their order; those without steps are left out.
        name: Name of the value in a step's record; a null is a gap.
        title: Title of the picture.
        y_label: With the unit.
        is_noisy: Whether a mean over some steps tells more than each of them.
    """
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    figure, axes = start_plot(title, "optimizer step", y_label)
    num_before = 0
    for index, stage in enumerate(each for each in stages if each.steps):
        places = [num_before + record["step"] for record in stage.steps]
        values = [math.nan if (value := record.get(name)) is None else float(value) for record in stage.steps]
        _draw_stage(axes, places, values, stage.name, COLOURS[index % len(COLOURS)], is_noisy)
        num_before = places[-1]
        axes.axvline(num_before + 0.5, color=GRID, linewidth=0.8)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    formatter = ScalarFormatter(useOffset=False)
    formatter.set_powerlimits((-3, 6))
    axes.yaxis.set_major_formatter(formatter)
    axes.yaxis.get_offset_text().set(fontsize=FONT_POINTS - 0.5, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    low, high = axes.get_ylim()
    # Room for the legend above the curves.
    axes.set_ylim(min(low, 0.0) if low < 0.3 * high else low, high + 0.18 * (high - low))
    axes.set_xlim(0.5, max(num_before, 1) + 0.5)
    axes.legend(ncols=4, **LEGEND)
    return finish(figure)


def running_mean(values: Sequence[float], num_steps: int = MEAN_STEPS) -> list[float]:
    """Mean of each value and the ones before it, over at most `num_steps` values; gaps are skipped."""
    means = []
    for end in range(1, len(values) + 1):
        known = [value for value in values[max(end - num_steps, 0) : end] if not math.isnan(value)]
        means.append(sum(known) / len(known) if known else math.nan)
    return means


def _draw_stage(
    axes: "Axes", places: Sequence[int], values: Sequence[float], label: str, colour: str, is_noisy: bool
) -> None:
    # A legend takes a name that starts with an underscore for one that is to be hidden; stages have none such.
    if len(places) <= MAX_MARKED_STEPS:
        axes.plot(places, values, color=colour, linewidth=1.8, marker="o", markersize=4.5, label=label)
        return
    if is_noisy:
        axes.plot(places, values, color=colour, linewidth=0.7, alpha=0.35)
        values = running_mean(values)
    axes.plot(places, values, color=colour, linewidth=1.8, label=label)
