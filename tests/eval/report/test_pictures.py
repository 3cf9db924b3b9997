"""Pictures are drawn for any number of models and any grid, and say what they show."""

from io import BytesIO
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from eval.report.contents import Counts, NiahResult, mean_score
from eval.report.labels import shortened
from eval.report.niah_heatmap import draw_niah
from eval.report.ruler_curves import _apart, _chosen, draw_ruler
from eval.report.ruler_tables import marked_rows
from eval.report.score_colours import score_colours
from tests.eval.report.report_contents import LENGTHS, PUBLISHED, make_contents, make_niah, make_ruler


def opened(png):
    image = Image.open(BytesIO(png))
    assert image.format == "PNG"
    return image


def rgb(colour):
    return tuple(int(colour[place : place + 2], 16) for place in (1, 3, 5))


def is_shown(colour, image):
    near = np.abs(np.asarray(image.convert("RGB")).astype(int) - np.array(rgb(colour))).max(axis=2) <= 6
    return near.mean() > 0.01


@pytest.mark.parametrize("num_models", [1, 2, 6])
def test_models_stand_under_one_another_as_wide_as_a_phone_takes(num_models):
    image = opened(draw_niah(make_contents(num_models, LENGTHS[:1]).of("niah")))
    assert image.width == 960
    assert 600 * num_models < image.height < 900 * num_models + 200


def test_scores_have_their_colours_and_gaps_none():
    def grid(score):
        return NiahResult("m", [4096], [0.0, 100.0], [[score], [score]], [[0.0], [100.0]], Counts(2))

    all_found, none_found, gaps = (opened(draw_niah([grid(score)])) for score in (100.0, 0.0, None))
    found, lost = score_colours(100.0)[0], score_colours(0.0)[0]
    # The scale below shows both ends, but as a hair's breadth.
    assert is_shown(found, all_found)
    assert not is_shown(lost, all_found)
    assert is_shown(lost, none_found)
    assert not is_shown(found, gaps)
    assert not is_shown(lost, gaps)


def test_large_grids_are_drawn():
    lengths, depths = [1024 * step for step in range(1, 25)], [100 * step / 40 for step in range(41)]
    rows = [[50.0] * len(lengths) for _ in depths]
    image = opened(draw_niah([NiahResult("m", lengths, depths, rows, rows, Counts(1))]))
    assert image.height < 1400


@pytest.mark.parametrize(("num_models", "lengths"), [(1, LENGTHS), (6, LENGTHS), (2, LENGTHS[:1])])
def test_curves_are_drawn(num_models, lengths):
    contents = make_contents(num_models, lengths, gaps=True)
    image = opened(draw_ruler(contents.of("ruler"), contents.of("ruler")[0], PUBLISHED, 85.6))
    assert image.width == 960


def test_curves_are_drawn_where_nothing_is_known():
    result = make_ruler(0, "m", LENGTHS[:2])
    result.means.update(dict.fromkeys(LENGTHS[:2]))
    result.intervals.clear()
    assert opened(draw_ruler([result], None, [], None)).width == 960


def test_published_lines_are_each_models_first_and_those_that_reach_furthest():
    short, long = LENGTHS[:4], LENGTHS
    assert [name for name, _ in _chosen(marked_rows(PUBLISHED, long), long)] == [
        "Made-up-1M ¹",
        "Made-up-8B ¹",
    ]
    assert [name for name, _ in _chosen(marked_rows(PUBLISHED, short), short)] == [
        "Made-up-8B ¹",
        "Made-up-1M ¹",
    ]


def test_letters_are_moved_apart_and_no_further():
    assert _apart([10.0, 20.0], 5.0) == [10.0, 20.0]
    assert _apart([10.0, 12.0], 4.0) == pytest.approx([9.0, 13.0])
    moved = _apart([10.0, 10.0, 10.0, 50.0], 4.0)
    assert all(b - a > 3.9 for a, b in pairwise(moved))
    assert moved[3] == 50


def test_colours_are_told_apart_by_brightness_where_numbers_stand():
    for score in range(0, 101, 5):
        colour, ink = score_colours(score)
        contrast = abs(np.dot(rgb(colour), [0.299, 0.587, 0.114]) - np.dot(rgb(ink), [0.299, 0.587, 0.114]))
        assert contrast > 85


def test_long_names_keep_both_ends():
    assert shortened("Llama-3.1-8B-Instruct-stage-512k", 21) == "Llama-3.1-…stage-512k"
    assert shortened("short", 21) == "short"


def test_means_of_gaps_are_gaps():
    assert mean_score([50.0, None]) is None
    assert mean_score([]) is None
    assert mean_score(make_niah(0, "m", [4096]).scores[0]) is not None
