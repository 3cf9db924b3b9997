import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.faults import UserError
from eval.fitting import fit


def sized(sizes, around):
    """Builds ranges that are as long as prompts, and remembers which."""
    built = []

    def build(index):
        built.append(index)
        return range(int(sizes[index]) + around[index])

    return build, built


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_the_prompt_is_full_and_not_above(data):
    steps = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=60))
    sizes = np.cumsum(steps)
    # Seams melt tokens: a prompt has some more or less than its size and the frame.
    around = data.draw(st.lists(st.integers(20, 23), min_size=len(sizes), max_size=len(sizes)))
    limit = data.draw(st.integers(30, 400))
    build, _ = sized(sizes, around)
    if int(sizes[0]) + around[0] > limit:
        with pytest.raises(UserError, match=f"lengths_tokens: {limit} tokens are too few"):
            fit(build, sizes, limit)
        return
    found = len(fit(build, sizes, limit))
    assert found <= limit
    is_last = found == int(sizes[-1]) + around[-1]
    # One unit more, and what seams may melt.
    assert is_last or found > limit - 9 - 2 * 3


@pytest.mark.parametrize("limit", [100, 1000, 5003])
def test_exact_sizes_take_two_prompts(limit):
    sizes = np.arange(0, 10_000, 7)
    build, built = sized(sizes, [31] * len(sizes))
    found = fit(build, sizes, limit)
    assert limit - 7 < len(found) <= limit
    assert len(built) == 2


def test_sizes_that_are_far_off_are_put_right():
    true = np.arange(1, 5000, 5)
    sizes = (true * 1.3).astype(np.int64)
    found = fit(lambda index: range(int(true[index])), sizes, 3000)
    assert 2990 < len(found) <= 3000


def test_a_prompt_may_be_exactly_as_long_as_the_limit():
    sizes = np.arange(0, 700, 7)
    build, _ = sized(sizes, [31] * len(sizes))
    assert len(fit(build, sizes, 31 + 7 * 50)) == 31 + 7 * 50
    assert len(fit(build, sizes, 31)) == 31


def test_the_last_size_is_the_most():
    sizes = np.array([3, 5])
    build, _ = sized(sizes, [1, 1])
    assert len(fit(build, sizes, 1000)) == 6
