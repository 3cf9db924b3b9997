"""Requests that were under way when an engine or replica died: whichever of them killed it must not kill on and on."""

import hashlib
from collections import OrderedDict

from app.serving.replies import RequestError

MAX_LOSSES = 2
"""Of one request: a neighbour of the one that kills gets a second try."""
MAX_REMEMBERED = 4096


class Losses:
    """How often each request was lost, by its content."""

    def __init__(self) -> None:
        self._counts: OrderedDict[bytes, int] = OrderedDict()

    def add(self, model: str, call: str, body: bytes) -> None:
        """Count a loss; the oldest request is forgotten when there are too many."""
        key = _key(model, call, body)
        self._counts[key] = self._counts.pop(key, 0) + 1
        if len(self._counts) > MAX_REMEMBERED:
            self._counts.popitem(last=False)

    def check(self, model: str, call: str, body: bytes) -> None:
        """Refuse a request that was lost too often.

        Raises:
            RequestError: it was.
        """
        if not self._counts:
            return
        count = self._counts.get(_key(model, call, body), 0)
        if count >= MAX_LOSSES:
            raise RequestError(
                400,
                f"{count} engines died while they worked on this very request, so that it is given up; change it",
                code="request_given_up",
            )


def _key(model: str, call: str, body: bytes) -> bytes:
    return hashlib.sha256(b"\0".join((model.encode(), call.encode(), body))).digest()
