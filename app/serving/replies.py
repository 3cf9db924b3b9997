"""What a replica sends to the front: replies, and errors in OpenAI's format."""

import json
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
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
        is_loss: bool = False,
    ) -> None:
        """Make the error.

        Args:
            status: HTTP's.
            message: For the client.
            code: For programs; left out: the status in words.
            param: Of the request, which is wrong.
            retry_after_sec: When the same request may be answered; None: it should not be sent again as it is.
            is_loss: The request was under way in an engine or replica that died.
        """
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code or HTTPStatus(status).name.lower()
        self.param = param
        self.retry_after_sec = retry_after_sec
        self.is_loss = is_loss

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors are messages of replicas; a class with keywords of its own must say how it is made again."""
        make = partial(
            RequestError,
            code=self.code,
            param=self.param,
            retry_after_sec=self.retry_after_sec,
            is_loss=self.is_loss,
        )
        return make, (self.status, self.message)

    def body(self) -> bytes:
        """The error body in OpenAI's format (platform.openai.com/docs/guides/error-codes)."""
        kinds = {429: "rate_limit_error"}
        kind = kinds.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        value = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return json.dumps({"error": value}, ensure_ascii=False).encode()

    def event(self) -> bytes:
        """The error as an event in a stream that has begun, where it is too late for a status code."""
        return b"data: " + self.body() + b"\n\n"


Message: TypeAlias = Reply | RequestError | bytes | None
"""Of an answer on its way: None as soon as a replica has taken the request, a `Reply`, then what it streams.

An error ends it, whatever came before.
"""
