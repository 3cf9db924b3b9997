"""Limits of one request (bytes, time), and the model that it asks for."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from app.faults import one_line
from app.serving.replies import JSON, RequestError

MAX_SHOWN_CHARS = 200


@dataclass(frozen=True)
class Limits:
    """Limits of one request."""

    max_body_bytes: int
    timeout_sec: float


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


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The body of a JSON request; one that is too large is not read to its end.

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
        body += piece
        if len(body) > max_bytes:
            raise refusal
    return bytes(body)


def model_in(body: bytes, models: Mapping[str, int | None]) -> str:
    """Name of the model that a request's JSON asks for; the only one there is where it names none.

    Raises:
        RequestError: The body is no JSON object with a name in it.
    """
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        reason = "too deep" if isinstance(error, RecursionError) else one_line(error)
        raise RequestError(400, f"the body is not JSON ({reason[:MAX_SHOWN_CHARS]})") from error
    if not isinstance(request, dict):
        raise RequestError(400, 'the body is not a JSON object; send {"model": NAME, ...}')
    name = request.get("model")
    if name is None and len(models) == 1:
        return next(iter(models))
    if not isinstance(name, str):
        raise RequestError(400, f"`model` is no name; there are {', '.join(models)}", param="model")
    return name
