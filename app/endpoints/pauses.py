"""How long an endpoint asks to wait, by any of the headers in use."""

import email.utils
import re
import time
from collections.abc import Mapping
from datetime import datetime

_UNITS_SEC = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
_EPOCH_SEC, _EPOCH_MS = 1e9, 1e12
"""Numbers from which on a reset is a time since 1970 rather than a duration."""


def asked_pause_sec(headers: Mapping[str, str]) -> float | None:
    """Seconds until the next request is welcome; None where no header says it.

    Retry-After holds seconds or an HTTP date; OpenAI's x-ratelimit-reset-requests and -tokens hold durations such as
    6m0s, of which the one counts whose limit is reached.

    Args:
        headers: Of the answer, with names in lower case.
    """
    if (ms := _number(headers.get("retry-after-ms", ""))) is not None:
        return ms / 1000
    if after := headers.get("retry-after"):
        if (sec := _number(after)) is not None:
            return sec
        if (date := _date(after)) is not None:
            # By the endpoint's own clock, where it tells it.
            now = _date(headers.get("date", ""))
            return max(0.0, date - (time.time() if now is None else now))
    resets = {
        kind: _reset_sec(headers.get(f"x-ratelimit-reset{kind}", "")) for kind in ("", "-requests", "-tokens")
    }
    found = {kind: sec for kind, sec in resets.items() if sec is not None}
    reached = [sec for kind, sec in found.items() if headers.get(f"x-ratelimit-remaining{kind}") == "0"]
    return max(reached or found.values(), default=None)


def _reset_sec(text: str) -> float | None:
    number = _number(text)
    if number is None:
        parts = re.findall(r"([\d.]+)(ms|s|m|h|d)", text) if _DURATION.fullmatch(text) else []
        return sum(float(value) * _UNITS_SEC[unit] for value, unit in parts) if parts else None
    if number >= _EPOCH_MS:
        number /= 1000
    return max(0.0, number - time.time()) if number >= _EPOCH_SEC else number


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d{1,15}(\.\d+)?", text.strip()) else None


def _date(text: str) -> float | None:
    try:
        date: datetime = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return date.timestamp()
