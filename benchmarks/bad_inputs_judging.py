"""Bad inputs and their judge: each has an outcome that is known before it is tried."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from app.agent.asking import StepFailedError
from app.agent.parsing import MalformedReplyError
from app.endpoints.replies import RequestError
from app.faults import UserError
from app.training.data.tokenization import UntrainableRowError

MAX_LINE_CHARS = 1500
"""Of what a person is told; a field's value, the fault and the remedy."""
Verdict = Literal["line", "record", "right", "traceback", "silently_wrong", "unclear"]
GOOD: tuple[Verdict, ...] = ("line", "record", "right")


@dataclass(frozen=True)
class Line:
    """Outcome: a `UserError` of one line that begins so: with its field."""

    start: str


@dataclass(frozen=True)
class Record:
    """Outcome of a row or request: it is left out, and this is the reason that is recorded."""

    reason: str


@dataclass(frozen=True)
class Either:
    """Outcome where both are right: a refusal, and a value."""

    line: Line
    value: Any


@dataclass(frozen=True)
class Case:
    """One input."""

    name: str
    attempt: Callable[[], Any]
    """Gives the input to the code; what comes of it."""
    expected: Any
    """A `Line`; an `Either`; a `Record`, also several of them in a list among values; or the right value."""


@dataclass(frozen=True)
class Finding:
    """What became of an input."""

    name: str
    verdict: Verdict
    detail: str


def judge(case: Case) -> Finding:
    """Try a case, and compare what comes of it with what is known to be right."""
    try:
        found = case.attempt()
    except UserError as error:
        found = Line(str(error))
    except (RequestError, StepFailedError, UntrainableRowError) as error:
        found = Record(error.reason if hasattr(error, "reason") else str(error))
    except MalformedReplyError as error:
        found = Record(str(error))
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return Finding(case.name, "traceback", f"{type(error).__name__}: {str(error)[:300]}")
    return Finding(case.name, _verdict(found, case.expected), f"{found!r:.300} for {case.expected!r:.200}")


def _verdict(found: Any, expected: Any) -> Verdict:
    if isinstance(expected, Either):
        expected = expected.line if isinstance(found, Line) else expected.value
    if isinstance(found, Line):
        # A refusal is never silent; one that names another place, or takes several lines, is not clear.
        is_one_line = len(found.start.splitlines()) == 1 and len(found.start) <= MAX_LINE_CHARS
        is_named = isinstance(expected, Line) and found.start.startswith(expected.start)
        return "line" if is_one_line and is_named else "unclear"
    if isinstance(expected, Record) and isinstance(found, Record):
        return "record" if found.reason == expected.reason else "unclear"
    if found != expected:
        return "silently_wrong"
    is_recorded = isinstance(found, list) and any(isinstance(each, Record) for each in found)
    return "record" if is_recorded else "right"


def judged(cases: Sequence[Case]) -> list[Finding]:
    """Findings of all cases, in their order."""
    return [judge(case) for case in cases]
