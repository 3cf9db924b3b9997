import subprocess

import pytest

from benchmarks.evaluation_ruler import COMPARED_TASK, K, RulerSeconds, _seconds_of_bar

BAR = "INFO:Testing\r  0%|   | 0/8 [00:00<?, ?it/s]\r 50%|# | 4/8 [00:06<00:06,  1.60s/it]\r100%|##| 8/8 [00:12<00:00,  {}]\n"


def ended(stderr, code=0):
    return subprocess.CompletedProcess([], code, "", stderr)


@pytest.mark.parametrize(("rate", "seconds"), [("1.52s/it", 1.52), ("4.00it/s", 0.25)])
def test_the_last_rate_of_the_bar_counts(rate, seconds):
    assert _seconds_of_bar(ended(BAR.format(rate)), 8) == seconds


@pytest.mark.parametrize("done", [ended("no bar"), ended(BAR.format("1.52s/it"), code=1)])
def test_a_reference_that_failed_is_no_measurement(done):
    with pytest.raises(RuntimeError, match="the reference generator ended with"):
        _seconds_of_bar(done, 8)


def test_figures_are_the_worst_ratio_and_the_speedup():
    per_sample = {COMPARED_TASK: {128 * K: 0.01, 1024 * K: 0.05}, "fwe": {128 * K: 0.5, 1024 * K: 4.5}}
    assert RulerSeconds(per_sample, {}, None).figures == {"ruler_1m_over_128k": 9.0}
    assert RulerSeconds(per_sample, {}, 1.5).figures["ruler_speedup_over_reference_128k"] == 150.0
