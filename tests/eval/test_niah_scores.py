"""Cells of the needle test: means of all trials, or gaps."""

import numpy as np
import pytest

from eval.niah_scores import score_niah
from eval.records import Record, Reply
from eval.samples import Sample
from tests.eval.niah_settings import make_config

LENGTHS, DEPTHS = [2048, 1024], [50.0, 0.0]


def record(length, depth, trial, text="It is 1234567.", error=None, copies=1, cached=0):
    facts = {
        "trial": trial,
        "depth_percent": depth,
        "needle_depths_percent": [depth + 1 + trial],
        "num_copies": copies,
    }
    sample = Sample(
        f"niah-{length}-{depth}-{trial}", "niah", length, np.arange(3), 8, ["1234567"], "g", facts
    )
    return Record.of(sample, None if error else Reply(text, "stop", 100, 5, cached, 0.1), error)


def all_records():
    return {(n, d, t): record(n, d, t) for n in LENGTHS for d in DEPTHS for t in range(2)}


def score(records, **settings):
    config = make_config(lengths_tokens=LENGTHS, depths_percent=DEPTHS, num_trials=2, **settings)
    return score_niah("m", config, records)


def test_cells_are_means_of_their_trials():
    records = all_records()
    records[1024, 50.0, 1] = record(1024, 50.0, 1, text="It is 7654321.")
    result = score(records.values())
    assert (result.lengths_tokens, result.depths_percent) == ([1024, 2048], [0.0, 50.0])
    assert result.scores == [[100, 100], [50, 100]]
    assert result.placed_percent == [[1.5, 1.5], [51.5, 51.5]]
    assert (result.mean(1024), result.mean(2048)) == (75, 100)
    assert (result.counts.num_samples, result.counts.num_failed, result.counts.num_missing) == (8, 0, 0)


def test_several_references_are_shares():
    records = all_records()
    both = record(1024, 0.0, 0)
    both.references.append("999")
    records[1024, 0.0, 0] = both
    assert score(records.values()).scores[0][0] == 75


@pytest.mark.parametrize(("count_as_wrong", "expected"), [(False, None), (True, 50)])
def test_a_failed_sample_makes_a_gap_unless_it_counts_as_wrong(count_as_wrong, expected):
    records = all_records()
    records[2048, 0.0, 0] = record(2048, 0.0, 0, error="too slow")
    result = score(records.values(), failures_count_as_wrong=count_as_wrong)
    assert result.scores == [[100, expected], [100, 100]]
    assert result.mean(2048) == (75 if count_as_wrong else None)
    assert (result.counts.num_failed, result.counts.failures_count_as_wrong) == (1, count_as_wrong)


@pytest.mark.parametrize("count_as_wrong", [False, True])
def test_a_sample_that_was_not_asked_makes_a_gap_always(count_as_wrong):
    records = all_records()
    del records[1024, 0.0, 1]
    result = score(records.values(), failures_count_as_wrong=count_as_wrong)
    assert result.scores == [[None, 100], [100, 100]]
    assert result.counts.num_missing == 1


def test_what_is_not_of_the_grid_is_passed_over():
    records = [
        *all_records().values(),
        record(4096, 0.0, 0),
        record(1024, 10.0, 0),
        record(1024, 0.0, 2, text=""),
    ]
    assert score(records).scores == [[100, 100], [100, 100]]


def test_repeated_haystacks_and_cached_tokens_are_told():
    records = all_records()
    records[2048, 0.0, 0] = record(2048, 0.0, 0, copies=3, cached=80)
    result = score(records.values())
    assert result.num_copies == {2048: 3}
    assert result.prefill_share == pytest.approx(0.9)
    assert score(all_records().values()).prefill_share is None


def test_without_any_record_all_are_gaps():
    result = score([])
    assert result.scores == [[None, None], [None, None]]
    assert result.counts.num_missing == 8
