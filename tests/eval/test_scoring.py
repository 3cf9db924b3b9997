import numpy as np
import pytest

from eval.scoring import bootstrap_mean, clean_prediction, string_match_all, string_match_part

CASES = [
    # prediction, references, match all, match part: as NVIDIA/RULER's functions gave them (see the fixture's source)
]


def test_a_mean_has_its_interval_around_it():
    rng = np.random.default_rng(5)
    scores = rng.binomial(1, 0.7, 500).astype(float).tolist()
    mean = bootstrap_mean([scores])
    assert mean.value == pytest.approx(np.mean(scores))
    half = 1.96 * np.std(scores) / np.sqrt(len(scores))
    assert mean.low == pytest.approx(mean.value - half, abs=0.008)
    assert mean.high == pytest.approx(mean.value + half, abs=0.008)
    assert bootstrap_mean([scores]) == mean
    assert bootstrap_mean([scores], seed=1) != mean


def test_groups_weigh_alike_and_are_resampled_by_themselves():
    mean = bootstrap_mean([[0.0] * 10, [100.0] * 1000])
    assert (mean.value, mean.low, mean.high) == (50.0, 50.0, 50.0)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(11)
    covered = 0
    for trial in range(200):
        mean = bootstrap_mean([rng.binomial(1, 0.4, 100).tolist()], seed=trial)
        covered += mean.low <= 0.4 <= mean.high
    assert 0.90 <= covered / 200 <= 0.99
