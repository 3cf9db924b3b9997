import pytest
import torch

from app.training.export.probe import difference_of_logits

NUM_TOKENS = 128


@pytest.fixture
def expected() -> torch.Tensor:
    return torch.randn(NUM_TOKENS, 50, generator=torch.Generator().manual_seed(1))


def test_a_few_positions_that_rounding_turns_upside_down_are_let_pass(expected):
    found = expected * 1.01
    found[::20] *= -1
    assert difference_of_logits(found, expected) == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("num_ranks", [2, 4, 8])
def test_the_share_of_one_rank_is_seen(expected, num_ranks):
    found = expected.clone()
    found[: NUM_TOKENS // num_ranks] *= 1.5
    assert difference_of_logits(found, expected) == pytest.approx(0.5, rel=1e-3)


def test_what_is_no_number_is_no_match(expected):
    found = expected.clone()
    found[3] = float("nan")
    assert not difference_of_logits(found, expected) <= 1.0
