import numpy as np
import pytest

from app.config import ThresholdConfig
from app.dataset.thresholds import (
    ShuffledScores,
    Thresholds,
    area_under_curve,
    choose_thresholds,
    fault_of,
)

LIMITS = Thresholds(
    min_evidence_gain=0.5, max_closed_book=-1.0, min_necessity=0.3, max_distractor_share=0.75, min_judged=3
)


def make_row(task="trace", **measured):
    found = {
        "closed_book": -3.0,
        "evidence_gain": 2.0,
        "distractor_gain": 0.4,
        "necessity": [{"document_id": "a", "drop": 0.9}, {"document_id": "b", "drop": 0.6}],
        "judged_relevance": None,
        "judged_correctness": None,
        "not_verified": None,
    }
    return {"seed_id": "s", "task": task, "verification": found | measured}


@pytest.mark.parametrize(
    ("measured", "reason"),
    [
        ({}, None),
        ({"closed_book": -0.5}, "known without documents"),
        ({"evidence_gain": 0.3}, "not in its evidence"),
        ({"distractor_gain": 1.9}, "unmarked evidence"),
        ({"necessity": [{"document_id": "a", "drop": 2.0}]}, "needs too few documents"),
        (
            {"necessity": [{"document_id": "a", "drop": 2}, {"document_id": "b", "drop": 0}]},
            "needs too few documents",
        ),
        ({"judged_relevance": 2, "judged_correctness": 5}, "judged irrelevant"),
        ({"judged_relevance": 3, "judged_correctness": 1}, "judged wrong"),
        ({"evidence_gain": None, "judged_relevance": 5, "judged_correctness": 1}, "judged wrong"),
        ({"evidence_gain": None, "not_verified": "score timed out"}, None),
    ],
)
def test_each_fault_has_its_own_reason(measured, reason):
    reject = fault_of(make_row(**measured), LIMITS)
    assert (reject and reject.reason) == reason


def test_a_task_of_one_document_needs_no_second():
    one = [{"document_id": "a", "drop": 2.0}]
    assert fault_of(make_row("aspects", necessity=one), LIMITS) is None


def test_what_nobody_measured_stays():
    assert fault_of({"seed_id": "s", "task": "trace", "verification": None}, LIMITS) is None


def test_omitted_thresholds_let_a_twentieth_of_the_shuffled_answers_pass():
    shuffled = ShuffledScores([-4.0] * 100, list(np.linspace(0, 1, 101)), list(np.linspace(-0.5, 0.5, 101)))
    verified = [make_row()["verification"]] * 3
    found = choose_thresholds(ThresholdConfig(), verified, shuffled)
    assert found.min_evidence_gain == pytest.approx(0.95)
    assert found.min_necessity == pytest.approx(0.45)
    assert found.max_closed_book == pytest.approx(-2.5), "half way from -4 to -3 + 2"
    given = choose_thresholds(ThresholdConfig(min_evidence_gain=0.1), verified, shuffled)
    assert given.min_evidence_gain == 0.1


def test_few_shuffled_answers_decide_nothing():
    few = ShuffledScores([-4.0] * 3, [0.1] * 3, [])
    found = choose_thresholds(ThresholdConfig(), [make_row()["verification"]], few)
    assert (found.min_evidence_gain, found.max_closed_book, found.min_necessity) == (None, None, None)


def test_area_under_curve_is_the_share_of_pairs_in_order():
    assert area_under_curve([2.0, 3.0], [1.0, 2.0]) == pytest.approx(0.875)
    assert area_under_curve([], [1.0]) is None
