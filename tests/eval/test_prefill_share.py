import numpy as np
import pytest

from eval.prefill_share import expected_prefill_share, measured_prefill_share
from eval.records import Record, Reply
from eval.samples import Sample


def sample(tokens, group="g"):
    return Sample("s", "t", 64, np.array(tokens, np.int32), 8, ["x"], group)


def test_whole_blocks_of_a_common_beginning_are_found_again():
    first, second = sample(range(12)), sample([*range(9), 90, 91, 92])
    assert expected_prefill_share([first, second], block_tokens=4) == 1 - 8 / 24
    assert expected_prefill_share([first, second], block_tokens=5) == 1 - 5 / 24


def test_the_same_block_behind_another_beginning_is_another():
    assert expected_prefill_share([sample([1, 2, 3, 4, 5]), sample([3, 4, 9, 9, 9])], block_tokens=2) == 1


def test_the_last_token_is_always_computed():
    assert expected_prefill_share([sample(range(8)), sample(range(8))], block_tokens=4) == 1 - 4 / 16


@pytest.mark.parametrize("groups", [("", ""), ("a", "b")])
def test_nothing_is_found_outside_of_a_group(groups):
    assert expected_prefill_share([sample(range(9), group) for group in groups], block_tokens=2) == 1


def test_the_measured_share_is_the_replies():
    replies = [Reply("x", "stop", 100, 5, cached, 1.0) for cached in (0, 80)]
    records = [Record.of(sample(range(9)), reply) for reply in replies]
    failed = Record.of(sample(range(9)), None, "too slow")
    assert measured_prefill_share([*records, failed]) == 1 - 80 / 200
    assert measured_prefill_share(records[:1]) is None
    assert measured_prefill_share([failed]) is None
