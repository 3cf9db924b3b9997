import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.training.schedule import learning_rate_at
from tests.training.train_settings import stage_config


def rates(**changes):
    stage = stage_config(**{"learning_rate": 1.0, "min_learning_rate_share": 0.1} | changes)
    return [learning_rate_at(stage, step) for step in range(stage.total_steps)]


def test_warmup_rises_evenly_to_the_whole_rate_at_its_end():
    found = rates(num_steps=10, warmup_steps=4, schedule="constant")
    assert found == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1, 1, 1])


def test_linear_ends_at_its_least_share_in_the_last_step():
    assert rates(num_steps=4, schedule="linear") == pytest.approx([1.0, 0.7, 0.4, 0.1])
    assert rates(num_steps=6, warmup_steps=2, schedule="linear") == pytest.approx(
        [1 / 3, 2 / 3, 1, 0.7, 0.4, 0.1]
    )


def test_cosine_is_half_way_down_in_the_middle():
    found = rates(num_steps=5, schedule="cosine")
    assert found[0] == 1.0
    assert found[2] == pytest.approx(0.55)
    assert found[4] == pytest.approx(0.1)
    # Flat at both ends: slower than the line first, faster later.
    assert found[1] > 0.1 + 0.9 * 0.75
    assert found[3] < 0.1 + 0.9 * 0.25


def test_the_length_of_a_stage_may_be_given_in_tokens():
    by_tokens = rates(num_steps=None, num_tokens=8192 * 9 + 1, schedule="linear")
    assert len(by_tokens) == 10
    assert by_tokens == rates(num_steps=10, schedule="linear")


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_a_stage_of_one_step_has_the_whole_rate(schedule):
    assert rates(num_steps=1, schedule=schedule) == [1.0]


@given(
    st.integers(1, 60),
    st.integers(0, 70),
    st.floats(0, 1),
    st.sampled_from(["constant", "linear", "cosine"]),
)
def test_every_step_has_a_rate_that_first_rises_and_then_never_does(num_steps, warmup_steps, share, schedule):
    found = rates(
        num_steps=num_steps, warmup_steps=warmup_steps, min_learning_rate_share=share, schedule=schedule
    )
    rising, falling = found[: warmup_steps + 1], found[warmup_steps:]
    assert rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)
    assert all(min(share, 1 / (warmup_steps + 1)) <= rate + 1e-12 <= 1 + 1e-9 for rate in found)
