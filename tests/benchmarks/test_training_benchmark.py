import pytest

from benchmarks.training import bytes_per_token, memory_figures, time_ratios
from benchmarks.training_longest import search_longest
from benchmarks.training_steps import RandomSequences


@pytest.mark.parametrize("longest", [1024, 1500, 5000, 9999])
def test_the_search_finds_the_longest_to_within_a_tenth(longest):
    tried = []

    def fits(num_tokens):
        tried.append(num_tokens)
        return num_tokens <= longest

    found = search_longest(fits, 1024)
    assert found <= longest <= 1.1 * found + 128
    assert len(tried) <= 9


def test_a_search_that_cannot_begin_says_so():
    with pytest.raises(RuntimeError, match="1024 tokens do not fit"):
        search_longest(lambda num_tokens: False, 1024)


def test_memory_is_the_worst_of_modes_and_ranks():
    by_ranks = {
        1: {"ulysses": {"peak_bytes": [100]}},
        2: {"ulysses": {"peak_bytes": [50, 51]}, "ring": {"peak_bytes": [55, 50]}},
        4: {"ulysses": {"peak_bytes": [25, 30, 25, 25]}, "ring": {"peak_bytes": [25] * 4}},
    }
    assert memory_figures(by_ranks) == {
        "memory_over_ideal_sp2": pytest.approx(1.1),
        "memory_over_ideal_sp4": pytest.approx(1.2),
    }


def test_memory_that_does_not_grow_is_told_apart():
    by_ranks = {1: {"ulysses": {"peak_bytes": [1000], "quarter_peak_bytes": [400]}}}
    growth = bytes_per_token(by_ranks, 80)
    assert growth == {"ulysses 1": {"bytes_per_token": 10.0, "constant_bytes": 200.0}}


def test_times_are_compared_within_a_repeat():
    assert time_ratios({"one": [1.0, 2.0], "ring": [1.5, 2.0]}) == {"ring": [1.5, 1.0]}


def test_random_documents_are_learned_but_for_their_first_tokens():
    sequences = RandomSequences(10, 50, 4)
    tokens, is_target = sequences.read(0, 3, 9)
    assert list(sequences.starts(0)) == [0, 4, 8]
    assert sequences.num_targets(0) == 7
    assert list(is_target) == [True, False, True, True, True, False]
    assert list(tokens) == list(sequences.read(0, 0, 10)[0][3:9])
