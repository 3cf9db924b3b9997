"""The extension benchmark's picture: accuracy by length, and by the needle's depth at the longest one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from app.canvas import COLOURS, FONT_POINTS, INK, draw_grid, finish, frame, start_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, ORANGE, GREEN = COLOURS[:3]
VARIANT_COLOURS = {"base": "#8a8a8a", "rope_only": ORANGE, "one_step": GREEN, "progressive": BLUE}
LABELS = {
    "base": "base",
    "rope_only": "RoPE base raised,\nnot trained",
    "one_step": "one step",
    "progressive": "progressive",
}
MARKERS = {"base": "o", "rope_only": "s", "one_step": "D", "progressive": "o"}


def draw_extension(
    by_length: Mapping[str, Mapping[int, float]],
    by_depth: Mapping[str, Sequence[float]],
    guess_accuracy: float,
    path: Path,
) -> None:
    """Draw both panels into a PNG.

    Args:
        by_length: Variant → length → accuracy.
        by_depth: Variant → accuracy in equal parts of the haystack of the longest documents, its beginning first.
        guess_accuracy: Of a model that finds no needle.
        path: Of the picture.
    """
    figure = start_figure(3.7, 9.1)
    left, right = figure.subplots(1, 2, sharey=True)
    lengths = sorted(next(iter(by_length.values())))
    places = {length: place for place, length in enumerate(lengths)}
    for variant, values in by_length.items():
        _line(left, variant, [places[length] for length in lengths], [values[length] for length in lengths])
    left.set_xticks(list(places.values()), [f"{length:,}\n{length // lengths[0]}×" for length in lengths])
    left.set_ylabel("questions answered rightly (%)", fontsize=FONT_POINTS, color=INK)
    _frame(left, "Retrieval by length", "tokens, and how many times the base's own length")

    num_parts = len(next(iter(by_depth.values())))
    middles = [100 * (part + 0.5) / num_parts for part in range(num_parts)]
    for variant, parts in by_depth.items():
        _line(right, variant, middles, parts)
    _frame(right, f"At {lengths[-1]:,} tokens, by depth", "where the needle stands in the haystack (%)")
    right.set_xlim(0, 100)
    for axes in (left, right):
        axes.axhline(100 * guess_accuracy, color=INK, linewidth=1.0, linestyle=(0, (2, 3)))
    left.annotate(
        "guessing",
        (0, 100 * guess_accuracy),
        xytext=(0, 3),
        textcoords="offset points",
        fontsize=FONT_POINTS - 1,
        color=INK,
    )
    handles, labels = left.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside right center", fontsize=FONT_POINTS, frameon=False, labelspacing=1.1
    )
    path.write_bytes(finish(figure))


def _line(axes: "Axes", variant: str, places: Sequence[float], shares: Sequence[float]) -> None:
    # Where lines lie on one another the broader one below stays visible.
    is_below = variant == "one_step"
    axes.plot(
        places,
        [100 * share for share in shares],
        color=VARIANT_COLOURS[variant],
        label=LABELS[variant],
        linewidth=4.5 if is_below else 2.0,
        marker=MARKERS[variant],
        markersize=9 if is_below else 5.5,
        alpha=0.55 if is_below else 1.0,
        clip_on=False,
    )


def _frame(axes: "Axes", title: str, x_label: str) -> None:
    frame(axes, title)
    axes.spines["bottom"].set_visible(True)
    axes.set_xlabel(x_label, fontsize=FONT_POINTS, color=INK)
    axes.set_ylim(0, 104)
    draw_grid(axes)


def table(by_length: Mapping[str, Mapping[int, float]]) -> str:
    """Accuracy in percent, a row a variant, a column a length."""
    lengths = sorted(next(iter(by_length.values())))
    width = max(len(variant) for variant in by_length) + 2
    rows = ["".ljust(width) + "".join(f"{length:>9,}" for length in lengths)]
    rows += [
        variant.ljust(width) + "".join(f"{values[length]:>9.1%}" for length in lengths)
        for variant, values in by_length.items()
    ]
    return "\n".join(rows)
