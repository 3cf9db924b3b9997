"""What the report's pictures have in common: narrow enough for a phone, colours that everyone tells apart."""

from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

INK, PALE_INK, GRID = "#333333", "#767676", "#dddddd"
BASE_COLOUR = "#6b6b6b"
COLOURS = ("#2f6db3", "#e08a2b", "#3a9a6e", "#a3528f", "#4fb0d6", "#8c5a2b", "#c9b52c")
"""Of the models behind the base; lines have markers of their own besides."""
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*")
_SCALE = ("#b5480f", "#e8955a", "#f7e3d0", "#b5d0e8", "#5793c9", "#1f5591")
"""0 to 100: vermilion to blue, which red-green blindness leaves apart."""
DARK_BELOW = 145.0
"""Brightness, of 255, of a colour that carries white numbers."""
WIDTH_INCHES = 4.8
DOTS_PER_INCH = 200
FONT_POINTS = 10.0


def start_figure(height_inches: float) -> "Figure":
    # Without pyplot there is no state that two jobs in one process share, and no display is looked for.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(
        figsize=(WIDTH_INCHES, height_inches),
        dpi=DOTS_PER_INCH,
        layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08),
    )
    FigureCanvasAgg(figure)
    return figure


def finish(figure: "Figure") -> bytes:
    """The figure as a PNG, of 256 colours: a page has them inside."""
    from PIL import Image

    drawn, small = BytesIO(), BytesIO()
    figure.savefig(drawn, format="png", facecolor="white", pil_kwargs={"compress_level": 1})
    with Image.open(drawn) as image:
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(small, format="png", optimize=True)
    return small.getvalue()


def frame(axes: "Axes", title: str) -> None:
    axes.set_title(title, loc="left", fontsize=FONT_POINTS + 1.5, fontweight="bold", color=INK, pad=7)
    axes.tick_params(labelsize=FONT_POINTS - 0.5, colors=INK, length=0)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)


def score_scale() -> "LinearSegmentedColormap":
    """The colours of 0 to 100."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("score", _SCALE)


def score_colours(score: float) -> tuple[str, str]:
    """A score's colour on that scale, and the one to write on it with."""
    place = score / 100 * (len(_SCALE) - 1)
    low = min(int(place), len(_SCALE) - 2)
    ends = [[int(_SCALE[index][i : i + 2], 16) for i in (1, 3, 5)] for index in (low, low + 1)]
    red, green, blue = (round(a + (b - a) * (place - low)) for a, b in zip(*ends, strict=True))
    is_dark = 0.299 * red + 0.587 * green + 0.114 * blue < DARK_BELOW
    return f"#{red:02x}{green:02x}{blue:02x}", "#ffffff" if is_dark else INK


def shortened(name: str, max_chars: int) -> str:
    """A name with its middle left out: stages differ at the end, models at the beginning."""
    if len(name) <= max_chars:
        return name
    end = (max_chars - 1) // 2
    return f"{name[: max_chars - 1 - end]}…{name[-end:]}"
