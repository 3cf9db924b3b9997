"""What all plots share: a size that fits a phone, colours that everyone can tell apart, and the PNG output."""

from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, PALE_INK, GRID = "#333333", "#767676", "#dddddd"
COLOURS = ("#2f6db3", "#e08a2b", "#3a9a6e", "#a3528f", "#4fb0d6", "#8c5a2b", "#c9b52c")
"""Of what stands side by side, in this order."""
WIDTH_INCHES = 4.8
PLOT_INCHES = (5.6, 3.2)
"""Of a picture with one pair of axes, which pages show side by side."""
DOTS_PER_INCH = 200
FONT_POINTS = 10.0
LEGEND: dict[str, Any] = {
    "loc": "upper right",
    "fontsize": FONT_POINTS - 0.5,
    "edgecolor": "none",
    "framealpha": 1.0,
    "borderaxespad": 0.0,
}


def start_figure(height_inches: float, width_inches: float = WIDTH_INCHES) -> "Figure":
    """An empty figure."""
    # Without pyplot there is no state that two jobs in one process share, and no display is looked for.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)
    figure = Figure(figsize=(width_inches, height_inches), dpi=DOTS_PER_INCH, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def start_plot(title: str, x_label: str, y_label: str) -> tuple["Figure", "Axes"]:
    """A figure with one pair of axes over a base line."""
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    figure = start_figure(PLOT_INCHES[1], PLOT_INCHES[0])
    axes = figure.add_subplot()
    frame(axes, title)
    axes.spines["bottom"].set_visible(True)
    axes.set_xlabel(x_label, fontsize=FONT_POINTS, color=INK)
    axes.set_ylabel(y_label, fontsize=FONT_POINTS, color=INK)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    draw_grid(axes)
    return figure, axes


def frame(axes: "Axes", title: str) -> None:
    """Title and labels in the pictures' looks, without lines around."""
    axes.set_title(title, loc="left", fontsize=FONT_POINTS + 1.5, fontweight="bold", color=INK, pad=7)
    axes.tick_params(labelsize=FONT_POINTS - 0.5, colors=INK, length=0)
    axes.spines[:].set_visible(False)


def draw_grid(axes: "Axes") -> None:
    """Pale lines at the labels of the y axis, behind everything."""
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def finish(figure: "Figure") -> bytes:
    """The figure as a PNG, of 256 colours: a page has them inside."""
    from PIL import Image

    drawn, small = BytesIO(), BytesIO()
    figure.savefig(drawn, format="png", facecolor="white", pil_kwargs={"compress_level": 1})
    with Image.open(drawn) as image:
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(small, format="png", optimize=True)
    return small.getvalue()
