"""The judge of bad inputs: what came of one, compared with what is known to be right."""

import pytest

from app.faults import UserError
from benchmarks.bad_inputs import count
from benchmarks.bad_inputs_judging import Case, Either, Line, Record, judge


def raising(error):
    def attempt():
        raise error

    return attempt


LINE, RECORD = Line("corpus.sources: "), Record("bad JSON")
REFUSED = UserError("corpus.sources: 3 is wrong; give another")


@pytest.mark.parametrize(
    ("attempt", "expected", "verdict"),
    [
        (lambda: 5, 5, "right"),
        (lambda: ["text", RECORD], ["text", RECORD], "record"),
        (raising(REFUSED), LINE, "line"),
        (lambda: 5, Either(LINE, 5), "right"),
        (raising(REFUSED), Either(LINE, 5), "line"),
        # A wrong result that looks right.
        (lambda: 6, 5, "silently_wrong"),
        (lambda: 6, Either(LINE, 5), "silently_wrong"),
        (lambda: "text", LINE, "silently_wrong"),
        (lambda: "text", RECORD, "silently_wrong"),
        (lambda: ["text"], ["text", RECORD], "silently_wrong"),
        # Refused, but not as it should be.
        (raising(REFUSED), Line("corpus.dedup: "), "unclear"),
        (raising(UserError("corpus.sources: 3\nis wrong")), LINE, "unclear"),
        (raising(UserError(f"corpus.sources: {'x' * 9000}")), LINE, "unclear"),
        (raising(REFUSED), 5, "unclear"),
        (lambda: RECORD, Record("empty"), "unclear"),
        # Our own bug.
        (raising(KeyError("text")), LINE, "traceback"),
        (raising(SystemExit(2)), LINE, "traceback"),
    ],
)
def test_what_came_is_compared_with_what_is_right(attempt, expected, verdict):
    assert judge(Case("one", attempt, expected)).verdict == verdict


def test_findings_are_counted_by_verdict():
    cases = [Case("a", lambda: 1, 1), Case("b", lambda: 1, 2), Case("c", raising(REFUSED), LINE)]
    assert count([judge(case) for case in cases]) == {
        "inputs_tried": 3,
        "lines": 1,
        "records": 0,
        "right": 1,
        "tracebacks": 0,
        "silently_wrong": 1,
        "unclear": 0,
    }
