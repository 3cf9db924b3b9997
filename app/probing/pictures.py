"""The probe's picture: needles by length, and loss by position."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.canvas import (
    COLOURS,
    FONT_POINTS,
    INK,
    LEGEND,
    PALE_INK,
    draw_grid,
    finish,
    frame,
    start_figure,
)
from app.records.probe import ReadingRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE_INCHES = (7.2, 6.4)
STYLES = ("-", "--", ":")
"""With more names than colours, the colours come again in another style."""


def draw_probe(readings: Sequence[ReadingRecord], old_tokens: int, title: str, chosen: str = "") -> bytes:
    """Both plots above each other, as a PNG.

    Args:
        readings: Of one length or several; those of a name have one colour.
        old_tokens: Longest sequence that the model was made for: marked.
        title: Title of the picture.
        chosen: Name of the candidate that was taken, drawn strongly.
    """
    names = list(dict.fromkeys(reading.name for reading in readings))
    figure = start_figure(SIZE_INCHES[1], SIZE_INCHES[0])
    needles, losses = figure.subplots(2, 1)
    frame(needles, title)
    frame(losses, "Loss by position, at the longest length")
    longest = max(reading.length_tokens for reading in readings)
    for index, name in enumerate(names):
        own = [reading for reading in readings if reading.name == name]
        look = {
            "color": COLOURS[index % len(COLOURS)],
            "linestyle": STYLES[index // len(COLOURS) % len(STYLES)],
            "linewidth": 3.0 if name == chosen else 1.6,
            "label": name,
        }
        shares = [100 * reading.num_found / reading.num_asked for reading in own]
        needles.plot([reading.length_tokens for reading in own], shares, marker="o", markersize=5, **look)
        for reading in own:
            if reading.length_tokens == longest:
                losses.plot(reading.positions, reading.losses, **look)
    _label(needles, "length, tokens", "needles found, percent")
    _label(losses, "position, tokens", "cross entropy of a token")
    needles.set_ylim(-4, 104)
    losses.axvline(old_tokens, color=PALE_INK, linewidth=1.0, linestyle="--")
    needles.axvline(old_tokens, color=PALE_INK, linewidth=1.0, linestyle="--")
    needles.legend(**{**LEGEND, "loc": "center left", "bbox_to_anchor": (1.02, 0.5)})
    return finish(figure)


def _label(axes: "Axes", x_label: str, y_label: str) -> None:
    from matplotlib.ticker import StrMethodFormatter

    axes.spines["bottom"].set_visible(True)
    axes.set_xlabel(x_label, fontsize=FONT_POINTS, color=INK)
    axes.set_ylabel(y_label, fontsize=FONT_POINTS, color=INK)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    draw_grid(axes)
