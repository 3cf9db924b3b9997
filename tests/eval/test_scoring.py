import numpy as np
import pytest

from eval.scoring import clean_prediction, mean_with_interval, string_match_all, string_match_part

# Prediction, references, and what NVIDIA/RULER's functions gave at c3f5e3b (its postprocess_pred, then
# string_match_all and string_match_part), in percent.
CASES = [
    (" 1234567.", ["1234567"], 100.0, 100.0),
    ("12345678", ["1234567"], 100.0, 100.0),
    ("123 4567", ["1234567"], 0.0, 0.0),
    ("", ["1234567"], 0.0, 0.0),
    ("   \n", ["a"], 0.0, 0.0),
    ("The answer is PARIS.", ["paris"], 100.0, 100.0),
    ("paris", ["PARIS"], 100.0, 100.0),
    ("Parisian", ["Paris"], 100.0, 100.0),
    ("Pari", ["Paris"], 0.0, 0.0),
    ("11, 22 and 33", ["11", "22", "33", "44"], 75.0, 100.0),
    ("11 11", ["11", "11"], 100.0, 100.0),
    ("44", ["11", "22"], 0.0, 0.0),
    ("Rollo", ["Rollo", "rollo the viking", "Hrolf"], 33.33, 100.0),
    ("nobody", ["Rollo", "Hrolf"], 0.0, 0.0),
    ("a\tb", ["a b"], 0.0, 0.0),
    ("a\tb", ["a\nb"], 100.0, 100.0),
    ("a\x00b", ["a\nb"], 100.0, 100.0),
    ("a\x1fb", ["a b"], 0.0, 0.0),
    ("\x00yes\x00", ["yes"], 100.0, 100.0),
    (" \x07 yes", ["yes "], 0.0, 0.0),
    ("yes  no", ["yes no"], 0.0, 0.0),
    ("x\x7fy", ["x\ny"], 0.0, 0.0),
    ("x\x7fy", ["x\x7fy"], 100.0, 100.0),
    ("a\r\nb", ["a\n\nb"], 100.0, 100.0),
    ("STRASSE", ["stra\xdfe"], 0.0, 0.0),
    ("Stra\xdfe", ["STRASSE"], 0.0, 0.0),
    ("\u0130stanbul", ["istanbul"], 0.0, 0.0),
    ("\xe9", ["e\u0301"], 0.0, 0.0),
    ("anything", [""], 100.0, 100.0),
    ("", [""], 100.0, 100.0),
    ("AAAAA BBBBB CCCCC", ["AAAAA", "BBBBB", "CCCCC", "DDDDD", "EEEEE"], 60.0, 100.0),
    ("aaaaa", ["AAAAA"], 100.0, 100.0),
    ("1. apple 2. pineapple", ["apple", "pine"], 100.0, 100.0),
    ("don't know", ["don\u2019t know"], 0.0, 0.0),
    ("\xa0yes\xa0", ["yes\xa0"], 0.0, 0.0),
]


@pytest.mark.parametrize(("prediction", "references", "all_percent", "part_percent"), CASES)
def test_metrics_are_those_of_the_reference(prediction, references, all_percent, part_percent):
    assert round(100 * string_match_all(prediction, references), 2) == all_percent
    assert round(100 * string_match_part(prediction, references), 2) == part_percent


def test_only_ends_are_cut_off():
    assert clean_prediction(" \x00 a \t b\r\n ") == "a \n b"


def test_an_answer_without_references_is_our_fault():
    with pytest.raises(AssertionError):
        string_match_part("anything", [])


@pytest.mark.parametrize(
    ("num_right", "num_samples", "low", "high"),
    # By scipy.stats.binomtest(...).proportion_ci(method="wilson").
    [
        (0, 1, 0.0, 79.35),
        (1, 1, 20.65, 100.0),
        (11, 11, 74.12, 100.0),
        (8, 10, 49.02, 94.33),
        (0, 500, 0.0, 0.76),
    ],
)
def test_shares_have_wilsons_interval(num_right, num_samples, low, high):
    mean = mean_with_interval([[100.0] * num_right + [0.0] * (num_samples - num_right)])
    assert mean.value == pytest.approx(100 * num_right / num_samples)
    assert (mean.low, mean.high) == (pytest.approx(low, abs=0.01), pytest.approx(high, abs=0.01))


def test_scores_between_right_and_wrong_are_resampled():
    rng = np.random.default_rng(5)
    scores = (25.0 * rng.integers(0, 5, 500)).tolist()
    mean = mean_with_interval([scores])
    half = 1.96 * np.std(scores) / np.sqrt(len(scores))
    assert (mean.low, mean.high) == (
        pytest.approx(mean.value - half, abs=0.8),
        pytest.approx(mean.value + half, abs=0.8),
    )
    assert mean_with_interval([scores]) == mean
    assert mean_with_interval([scores], seed=1) != mean


def test_one_sample_leaves_much_open():
    mean = mean_with_interval([[75.0]])
    assert mean.low < 50.0
    assert mean.high > 90.0


def test_groups_weigh_alike_whatever_their_size():
    mean = mean_with_interval([[0.0] * 10, [100.0] * 1000])
    assert mean.value == 50.0
    # Of the ten wrong ones up to 27.8 % could be right, of the others nearly none wrong.
    assert (mean.low, mean.high) == (pytest.approx(49.8, abs=0.1), pytest.approx(63.9, abs=0.1))


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(11)
    covered = 0
    for trial in range(200):
        groups = [(100.0 * rng.binomial(1, share, 50)).tolist() for share in (0.1, 0.4, 0.9)]
        mean = mean_with_interval(groups, seed=trial)
        covered += mean.low <= 100 * (0.1 + 0.4 + 0.9) / 3 <= mean.high
    assert 0.90 <= covered / 200 <= 0.99
