"""What `benchmarks.training_ranks` claims, at a small size: a test fails where a change makes ranks hold more."""

import pytest

from benchmarks.training import bytes_per_token, run_ranks

pytestmark = pytest.mark.long
NUM_TOKENS = 4096
TIMEOUT_SEC = 400


@pytest.mark.timeout(TIMEOUT_SEC)
def test_activation_memory_is_shared_by_the_ranks(tmp_path):
    by_ranks = {ranks: run_ranks("memory", ranks, NUM_TOKENS, 1, tmp_path) for ranks in (1, 2)}
    growth = {name: found["bytes_per_token"] for name, found in bytes_per_token(by_ranks, NUM_TOKENS).items()}
    assert growth["ulysses 2"] * 2 <= 1.05 * growth["ulysses 1"]
    assert growth["ring 2"] * 2 <= 1.05 * growth["ulysses 1"]
    one = by_ranks[1]["ulysses"]
    # The allocator's records and the system's account of resident memory agree.
    assert one["resident_peak_bytes"][0] == pytest.approx(one["peak_bytes"][0], rel=0.1)
    assert one["left_bytes"] == [0]


@pytest.mark.timeout(TIMEOUT_SEC)
def test_two_ranks_and_one_take_the_same_step(tmp_path):
    found = run_ranks("time", 2, 512, 1, tmp_path)
    assert {name: len(sec) for name, sec in found["sec"].items()} == {"ulysses": 1, "ring": 1, "one": 1}
    one = found["first_losses"]["one"]
    assert found["first_losses"] == {name: pytest.approx(one, rel=1e-5) for name in found["sec"]}
