"""Secrets of this process are shown nowhere: neither in a log, nor in a traceback, nor in what is written down."""

import logging
import sys
import threading
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any

MASK = "***"
MIN_SECRET_CHARS = 8
"""A shorter one, such as the word `none` for an endpoint without keys, would mask what is no secret."""


class MaskingRecords:
    """Makes log records that hold no secret. It stands before all loggers, those of libraries too."""

    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self._make = make
        self._secrets: list[str] = []

    def __call__(self, *arguments: Any, **named: Any) -> logging.LogRecord:
        """A record like the one before, with masks."""
        record = self._make(*arguments, **named)
        message = record.getMessage() if record.args else str(record.msg)
        masked = self.mask(message)
        if masked != message:
            record.msg, record.args = masked, ()
        if record.exc_info and record.exc_info[1] is not None:
            # Formatters print this text where it is there; libraries' errors may hold a request's headers.
            record.exc_text = self.mask("".join(traceback.format_exception(record.exc_info[1]))).rstrip()
        return record

    def add(self, secret: str) -> None:
        """Mask one more, the longest first: one may begin with another."""
        self._secrets = sorted({*self._secrets, secret}, key=len, reverse=True)

    def mask(self, text: str) -> str:
        """The text without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text


def conceal(secret: str) -> None:
    """Mask a secret from now on in this process's logs and tracebacks, and in what `mask` is asked for."""
    if len(secret) < MIN_SECRET_CHARS:
        return
    records = logging.getLogRecordFactory()
    if not isinstance(records, MaskingRecords):
        records = MaskingRecords(records)
        logging.setLogRecordFactory(records)
        sys.excepthook = _print_masked
        threading.excepthook = lambda raised: _print_masked(
            raised.exc_type, raised.exc_value, raised.exc_traceback
        )
    records.add(secret)


def mask(text: str) -> str:
    """The text without the secrets of this process."""
    records = logging.getLogRecordFactory()
    return records.mask(text) if isinstance(records, MaskingRecords) else text


def _print_masked(
    kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
) -> None:
    print(mask("".join(traceback.format_exception(kind, error, trace))), end="", file=sys.stderr)
