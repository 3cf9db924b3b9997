"""The extension benchmark's picture: accuracy by length, and by the needle's depth at the longest one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, GRID = "#333333", "#dddddd"
COLOURS = {"base": "#8a8a8a", "rope_only": "#e08a2b", "one_step": "#3a9a6e", "progressive": "#2f6db3"}
LABELS = {
    "base": "base",
    "rope_only": "RoPE base raised,\nnot trained",
    "one_step": "one step",
    "progressive": "progressive",
}
MARKERS = {"base": "o", "rope_only": "s", "one_step": "D", "progressive": "o"}
DOTS_PER_INCH = 200


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
    # Without pyplot there is no state, and no display is looked for.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(
        figsize=(10.4, 4.2), dpi=DOTS_PER_INCH, layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1)
    )
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    lengths = sorted(next(iter(by_length.values())))
    places = {length: place for place, length in enumerate(lengths)}
    for variant, values in by_length.items():
        _line(left, variant, [places[length] for length in lengths], [values[length] for length in lengths])
    left.set_xticks(list(places.values()), [f"{length:,}\n{length // lengths[0]}×" for length in lengths])
    left.set_ylabel("questions answered rightly (%)", fontsize=11, color=INK)
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
        fontsize=9.5,
        color=INK,
    )
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", fontsize=11, frameon=False, labelspacing=1.1)
    figure.savefig(path, format="png", facecolor="white")


def _line(axes: "Axes", variant: str, places: Sequence[float], shares: Sequence[float]) -> None:
    # Where lines lie on one another the broader one below stays visible.
    is_below = variant == "one_step"
    axes.plot(
        places,
        [100 * share for share in shares],
        color=COLOURS[variant],
        label=LABELS[variant],
        linewidth=4.5 if is_below else 2.0,
        marker=MARKERS[variant],
        markersize=9 if is_below else 5.5,
        alpha=0.55 if is_below else 1.0,
        clip_on=False,
    )


def _frame(axes: "Axes", title: str, x_label: str) -> None:
    axes.set_title(title, loc="left", fontsize=13, fontweight="bold", color=INK, pad=10)
    axes.set_xlabel(x_label, fontsize=11, color=INK)
    axes.set_ylim(0, 104)
    axes.tick_params(labelsize=10.5, colors=INK, length=0)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


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
