import random

import pytest

from app.config import LengthRange
from app.dataset.seeds import draw_length
from app.planning.lengths import of_counts, of_mean, of_one, of_ranges

RANGES = [
    LengthRange(min_tokens=8_000, max_tokens=32_000, weight=0.3),
    LengthRange(min_tokens=65_000, max_tokens=131_000, weight=0.7),
]


def test_ranges_are_what_the_seeds_draw():
    rng = random.Random(1)
    drawn = [draw_length(RANGES, rng) for _ in range(20_000)]
    lengths = of_ranges(RANGES)
    assert lengths.mean == pytest.approx(sum(drawn) / len(drawn), rel=0.01)
    squares = sum(length**2 for length in drawn) / len(drawn)
    assert lengths.mean_of(lambda tokens: tokens**2) == pytest.approx(squares, rel=0.01)


def test_a_lognormal_keeps_its_mean_and_has_a_tail():
    lengths = of_mean(1000)
    assert lengths.mean == pytest.approx(1000)
    # exp(sigma²) for the second moment over the squared mean; quantiles cut the last of the tail.
    assert lengths.mean_of(lambda tokens: tokens**2) / 1000**2 == pytest.approx(2.718, rel=0.12)


def test_a_draw_by_tokens_meets_long_texts_oftener():
    lengths = of_counts([10, 10, 10, 90])
    assert lengths.mean == 30
    assert lengths.weighted_by_length().mean == (3 * 10 * 10 + 90 * 90) / 120


def test_cutting_and_leaving_out():
    lengths = of_counts([10, 20, 30, 40])
    assert lengths.at_most(20).mean == (10 + 20 * 3) / 4
    kept = lengths.between(15, 30)
    assert kept is not None
    assert kept.mean == 25
    assert lengths.between(50, 60) is None
    assert of_one(7).mean == 7
