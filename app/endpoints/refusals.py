"""Whose fault it is that an endpoint gave no answer: the request's, the endpoint's, or nobody's, and it will pass."""

import ssl
from dataclasses import dataclass
from enum import Enum
from typing import Any

import openai

from app.endpoints.pauses import asked_pause_sec
from app.faults import one_line
from app.secrets import mask

MAX_WORDS_CHARS = 300
_OF_THE_ENDPOINT = {401, 402, 403, 404, 405, 407, 410, 501}
"""A key, credit, a model or an address is wrong: any other request gets the same."""
_PASSING = {408, 409, 425, 429}
_OUT_OF_CREDIT = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}
"""Codes of OpenAI. It sends them with status 429 or 400, although waiting does not help."""


class Whose(Enum):
    """Who has to change something before the request is answered."""

    REQUEST = "request"
    ENDPOINT = "endpoint"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Refusal:
    """No answer, and what the endpoint said instead."""

    whose: Whose
    status: int | None
    """HTTP status; None: no connection."""
    words: str
    """The endpoint's own, on one line."""
    pause_sec: float | None = None
    """How long the endpoint asks to wait; None: it does not say."""

    def describe(self) -> str:
        """`HTTP 402: credit is used up`."""
        return self.words if self.status is None else f"HTTP {self.status}: {self.words}"


def classify(error: openai.APIError) -> Refusal:
    """What an error of the client says about who is to blame.

    A status that blames the request, such as 400, may be what every request gets; `EndpointClient` finds that out.
    """
    if not isinstance(error, openai.APIStatusError):
        whose = Whose.ENDPOINT if _is_certificate_refused(error) else Whose.NOBODY
        return Refusal(whose, None, _words(error))
    status = error.status_code
    whose = Whose.ENDPOINT if _codes(error.body) & _OUT_OF_CREDIT else blamed_by(status)
    return Refusal(whose, status, _words(error), asked_pause_sec(error.response.headers))


def blamed_by(status: int) -> Whose:
    """Whom an HTTP status blames."""
    if status in _OF_THE_ENDPOINT or 300 <= status < 400:
        return Whose.ENDPOINT
    return Whose.NOBODY if status in _PASSING or status >= 500 else Whose.REQUEST


def _codes(body: Any) -> set[str]:
    return {str(body.get(name)) for name in ("code", "type")} if isinstance(body, dict) else set()


def _words(error: openai.APIError) -> str:
    body, words = error.body, error.message
    if isinstance(body, dict):
        words = next((body[name] for name in ("message", "detail") if isinstance(body.get(name), str)), words)
    elif error.__cause__ is not None and not isinstance(error, openai.APIStatusError):
        words = f"{words.rstrip('.')}: {one_line(error.__cause__) or type(error.__cause__).__name__}"
    # An endpoint may quote the key that it was sent.
    return mask(" ".join(words.split()))[:MAX_WORDS_CHARS]


def _is_certificate_refused(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None
