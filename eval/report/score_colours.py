"""Colours of scores from 0 to 100, the same in plots and on a terminal."""

from typing import TYPE_CHECKING

from app.canvas import INK

if TYPE_CHECKING:
    from matplotlib.colors import LinearSegmentedColormap

_SCALE = ("#b5480f", "#e8955a", "#f7e3d0", "#b5d0e8", "#5793c9", "#1f5591")
"""0 to 100: vermilion to blue, which red-green blindness leaves apart."""
DARK_BELOW = 145.0
"""Brightness, of 255, of a colour that carries white numbers."""


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
