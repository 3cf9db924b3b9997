"""The dataset card's pictures, drawn from `statistics.json`. Readable at 600 pixels wide."""

from io import BytesIO
from typing import TYPE_CHECKING, Any

from app.quantities import length_labels
from app.schema import Kind

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LENGTHS_PICTURE = "lengths.png"
DEPTHS_PICTURE = "evidence_depths.png"
COLOURS: dict[Kind, str] = {"long_input": "#2f6db3", "long_output": "#e08a2b"}
INK = "#333333"
MAX_LABELS = 12
DOTS_PER_INCH = 200
LEGEND: dict[str, Any] = {
    "loc": "upper right",
    "fontsize": 11,
    "edgecolor": "none",
    "framealpha": 1.0,
    "borderaxespad": 0.0,
}


def draw_lengths(statistics: dict[str, Any]) -> bytes:
    """How many examples have which length, by kind, as a PNG."""
    figure, axes = start_picture(
        "Length of the examples", "tokens, chat template and answer included", "examples"
    )
    edges, counts = statistics["lengths"]["edges_tokens"], statistics["lengths"]["counts"]
    below = [0] * max(len(edges) - 1, 0)
    for kind, colour in COLOURS.items():
        if kind in counts:
            label = f"{kind.replace('_', ' ')} ({sum(counts[kind]):,})"
            axes.bar(range(len(below)), counts[kind], width=0.9, bottom=below, color=colour, label=label)
            below = [low + count for low, count in zip(below, counts[kind], strict=True)]
    # Bins of powers of two would leave the short ones a hair's breadth: all are drawn as wide.
    step = -(-len(edges) // MAX_LABELS) or 1
    places = range(0, len(edges), step)
    axes.set_xticks([place - 0.5 for place in places], length_labels([edges[place] for place in places]))
    axes.set_ylim(0, max([*below, 1]) * 1.22)
    if any(kind in counts for kind in COLOURS):
        axes.legend(ncols=2, **LEGEND)
    return finish_picture(figure)


def draw_evidence_depths(statistics: dict[str, Any]) -> bytes:
    """Which share of the evidence passages stands where in its context, as a PNG."""
    counts = statistics["evidence_depths"]["counts"]
    total = sum(counts)
    figure, axes = start_picture(
        f"Where the evidence stands ({total:,} passages)",
        "depth in the context: 0 % is its first token, 100 % its last",
        "share of the passages (%)",
    )
    shares = [100 * count / max(total, 1) for count in counts]
    axes.bar(range(len(counts)), shares, width=0.9, color=COLOURS["long_input"])
    even = 100 / len(counts)
    axes.axhline(even, color=INK, linewidth=1.2, linestyle=(0, (4, 3)), label="spread evenly")
    edges = statistics["evidence_depths"]["edges"]
    axes.set_xticks([place - 0.5 for place in range(len(edges))], [f"{100 * edge:.0f}" for edge in edges])
    axes.set_ylim(0, max([*shares, even]) * 1.25)
    axes.legend(**LEGEND)
    return finish_picture(figure)


def start_picture(title: str, x_label: str, y_label: str) -> tuple["Figure", "Axes"]:
    """A figure with one pair of axes, in the looks that all of these pictures have."""
    # Without pyplot there is no state that two jobs in one process share, and no display is looked for.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    figure = Figure(
        figsize=(6.4, 3.6), dpi=DOTS_PER_INCH, layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.08)
    )
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=13, fontweight="bold", color=INK, pad=10)
    axes.set_xlabel(x_label, fontsize=11, color=INK)
    axes.set_ylabel(y_label, fontsize=11, color=INK)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.tick_params(labelsize=10.5, colors=INK, length=0)
    axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    return figure, axes


def finish_picture(figure: "Figure") -> bytes:
    """The figure as a PNG."""
    stream = BytesIO()
    figure.savefig(stream, format="png", facecolor="white")
    return stream.getvalue()
