import pytest

from eval.outcomes import count_outcomes, outcome_of, too_few_answered
from eval.records import Record, Reply
from eval.report.contents import Counts
from eval.report.labels import count_remarks


def record(text="7", finish_reason="stop", thought="", limit=64, error=None):
    reply = None if error else Reply(text, finish_reason, 10, 2, 0, 0.1, thought, limit)
    return Record("t-64-00000", "t", 64, "", {}, ["7"], reply, error)


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        (record(), "answered"),
        (record(finish_reason="length"), "cut"),
        (record(" \n"), "empty"),
        (record("", "length"), "empty"),
        (record("", "length", thought="well"), "only thought"),
        (record(error="finish reason content_filter: "), "filtered"),
        (record(error="refused with HTTP 400: too long"), "failed"),
    ],
)
def test_each_reply_has_one_outcome(found, outcome):
    assert outcome_of(found) == outcome


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            record(finish_reason="length", limit=128),
            "3 of 3 replies were cut at 128 tokens; they are scored as",
        ),
        (record(""), "3 of 3 replies were empty; they count as wrong."),
        (record("", "length"), "3 of 3 replies were empty, cut at 64 tokens; they count as wrong."),
        (
            record("", "length", "well"),
            "3 of 3 replies held only thought, cut at 64 tokens; they count as wrong",
        ),
        (
            record(error="finish reason content_filter"),
            "3 of 3 replies were held back by the endpoint's filter.",
        ),
    ],
)
def test_each_outcome_is_said_with_its_number(found, said):
    assert count_remarks(count_outcomes([found] * 3, 3, False))[0].startswith(said)


def test_several_limits_are_a_range():
    records = [record(finish_reason="length", limit=limit) for limit in (128, 30, 50)]
    assert (
        "3 of 4 replies were cut at 30 to 128 tokens" in count_remarks(count_outcomes(records, 4, False))[0]
    )


def test_answers_are_replies_with_a_text():
    records = [record(), record(finish_reason="length"), record(""), record(error="away")]
    counts = count_outcomes(records, 5, False)
    assert (counts.num_answered, counts.num_failed, counts.num_missing) == (2, 1, 1)


@pytest.mark.parametrize(
    ("num_failed", "min_share", "is_too_few"),
    [(10, 0.0, True), (9, 0.0, False), (5, 0.5, False), (6, 0.5, True), (1, 1.0, True), (0, 1.0, False)],
)
def test_too_few_answers_are_told_by_suite_and_model(num_failed, min_share, is_too_few):
    found = too_few_answered({("niah", "m"): Counts(10, num_failed)}, min_share)
    assert found == ([f"niah m: {10 - num_failed} of 10 requests were answered"] if is_too_few else [])
