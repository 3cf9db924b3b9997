"""Limits of one request and of all requests together: bytes, time, sequences."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from app.serving.replies import JSON, RequestError

RETRY_AFTER_SEC = 5


@dataclass(frozen=True)
class Limits:
    """Limits of one request, unless a field says otherwise."""

    max_body_bytes: int
    max_all_bodies_bytes: int
    """Limit of all requests together: a body counts from its first byte to the end of the answer."""
    body_timeout_sec: float
    timeout_sec: float
    max_sequences: int


class Room:
    """Bytes or sequences that all requests share."""

    def __init__(self, size: int) -> None:
        self._left = size

    @contextmanager
    def share(self, refusal: RequestError) -> Iterator["Share"]:
        """A share of it that ends with the block; what does not fit in is refused."""
        share = Share(self, refusal)
        try:
            yield share
        finally:
            self._left += share.size

    def take(self, size: int) -> bool:
        """Take a part, if there is so much left."""
        if size > self._left:
            return False
        self._left -= size
        return True


class Share:
    """What one request has of a room."""

    def __init__(self, room: Room, refusal: RequestError) -> None:
        self._room, self._refusal = room, refusal
        self.size = 0

    def grow(self, size: int) -> None:
        """Take more.

        Raises:
            RequestError: there is not so much left.
        """
        if not self._room.take(size):
            raise self._refusal
        self.size += size


class Deadline:
    """`asyncio.timeout` that the server may move while it runs."""

    def __init__(self, seconds: float, running: set[asyncio.Timeout]) -> None:
        """Prepare one.

        Args:
            seconds: From the block's begin.
            running: Holds it for as long as the block runs.
        """
        self._timeout, self._running = asyncio.timeout(seconds), running

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()
        self._running.add(self._timeout)

    async def __aexit__(self, *error: Any) -> None:
        self._running.discard(self._timeout)
        await self._timeout.__aexit__(*error)


async def read_body(request: Request, max_bytes: int, share: Share) -> bytes:
    """The body of a JSON request; one that is too large is not read to its end.

    Args:
        request: The request; its head has arrived.
        max_bytes: Largest size of this body.
        share: Its share of the memory for all bodies, which grows as it is read.

    Raises:
        RequestError: It is something else, or larger.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:
        # A web page in a browser on this machine may send anything but this without asking first.
        raise RequestError(415, f"the body's type is {kind!r}; send `Content-Type: {JSON}`")
    refusal = RequestError(413, f"the body is larger than max_body_bytes {max_bytes}; send less")
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > max_bytes:
        raise refusal
    body = bytearray()
    async for piece in request.stream():
        if len(body) + len(piece) > max_bytes:
            raise refusal
        share.grow(len(piece))
        body += piece
    return bytes(body)
