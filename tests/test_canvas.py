from io import BytesIO

from PIL import Image

from app.canvas import COLOURS, DOTS_PER_INCH, PLOT_INCHES, finish, start_figure, start_plot


def opened(png):
    image = Image.open(BytesIO(png))
    assert image.format == "PNG"
    return image


def test_a_plot_is_a_small_picture_of_its_size_that_shows_its_colours():
    figure, axes = start_plot("Title", "tokens", "examples")
    axes.bar([0, 1], [3, 4], color=COLOURS[:2])
    png = finish(figure)
    image = opened(png)
    assert image.size == tuple(round(side * DOTS_PER_INCH) for side in PLOT_INCHES)
    assert len(png) < 40_000
    shown = {colour for _, colour in image.convert("RGB").getcolors()}
    assert {tuple(bytes.fromhex(colour[1:])) for colour in COLOURS[:2]} <= shown


def test_figures_of_one_process_share_nothing():
    first, second = start_figure(2.0), start_figure(3.0)
    second.subplots()
    assert first.axes == []
    assert opened(finish(first)).size == (960, 400)
