"""What a replica sends to the front: replies, and errors in OpenAI's format."""

import json
from dataclasses import dataclass
from typing import Any, TypeAlias

JSON, EVENT_STREAM = "application/json", "text/event-stream"


@dataclass(frozen=True)
class Reply:
    """An answer, or the head of a streamed one: `bytes` follow it then."""

    status: int
    media_type: str
    body: bytes

    @property
    def is_streamed(self) -> bool:
        return self.media_type == EVENT_STREAM


Message: TypeAlias = Reply | bytes | None
"""Of an answer on its way: None as soon as a replica has taken the request, a `Reply`, then what it streams."""


class RequestError(Exception):
    """A request that gets an error instead of an answer; the message is for the client."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after_sec: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.retry_after_sec = retry_after_sec

    def body(self) -> bytes:
        """The error body in OpenAI's format (platform.openai.com/docs/guides/error-codes)."""
        return json.dumps(
            error_shape(self.status, self.message, self.code, self.param), ensure_ascii=False
        ).encode()

    def event(self) -> bytes:
        """The error as an event in a stream that has begun, where it is too late for a status code."""
        return b"data: " + self.body() + b"\n\n"


def error_shape(
    status: int, message: str, code: str | None = None, param: str | None = None
) -> dict[str, Any]:
    """The JSON value of an error."""
    kind = {429: "rate_limit_error"}.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code or status}}
