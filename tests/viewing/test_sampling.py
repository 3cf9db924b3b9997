"""A sample is the same each time, has all groups, and follows their sizes."""

from collections import Counter

import pytest

from app.viewing.sampling import draw_sample, share_out


@pytest.mark.parametrize(
    ("total", "sizes", "expected"),
    [
        (10, {"a": 900, "b": 100}, {"a": 9, "b": 1}),
        (10, {"a": 999, "b": 1}, {"a": 9, "b": 1}),
        (10, {"a": 3, "b": 0, "c": 2}, {"a": 3, "b": 0, "c": 2}),
        (1, {"a": 1, "b": 5}, {"a": 0, "b": 1}),
        (3, {"a": 1, "b": 1, "c": 50, "d": 2}, {"a": 1, "b": 0, "c": 1, "d": 1}),
        (7, {"a": 3, "b": 3, "c": 3}, {"a": 3, "b": 2, "c": 2}),
    ],
)
def test_a_number_is_shared_out_by_size_and_nobody_is_forgotten(total, sizes, expected):
    assert share_out(total, sizes) == expected


@pytest.mark.parametrize("total", range(0, 130, 7))
def test_no_more_and_no_less_is_shared_out(total):
    sizes = {"a": 60, "b": 1, "c": 33, "d": 6}
    parts = share_out(total, sizes)
    assert sum(parts.values()) == min(total, 100)
    assert all(parts[name] <= sizes[name] for name in sizes)


def test_a_sample_has_every_group_in_the_order_of_the_rows():
    groups = [*["often"] * 500, "rare", *["often"] * 400, *["seldom"] * 99]
    sample = draw_sample(groups, 50)
    assert sample == sorted(set(sample)) == draw_sample(groups, 50)
    assert Counter(groups[place] for place in sample) == {"often": 44, "rare": 1, "seldom": 5}


def test_few_rows_are_all_shown():
    assert draw_sample(["a", "b", "a"], 3) == [0, 1, 2]
