"""Answers and errors as ASGI messages."""

from starlette.responses import Response
from starlette.types import Send

from app.serving.replies import JSON, Reply, RequestError


async def send_reply(reply: Reply, send: Send) -> None:
    """A whole answer, or the head of a streamed one."""
    headers = [(b"content-type", reply.media_type.encode())]
    headers.append(
        (b"cache-control", b"no-cache")
        if reply.is_streamed
        else (b"content-length", str(len(reply.body)).encode())
    )
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body, "more_body": reply.is_streamed})


async def send_error(error: RequestError, head: Reply | None, send: Send) -> None:
    """An error instead of an answer, or at the end of a streamed one.

    Args:
        error: What went wrong.
        head: Head of the answer, if it has begun.
        send: ASGI's send function.
    """
    if head is None:
        response = error_response(error)
        headers = response.raw_headers
        await send({"type": "http.response.start", "status": error.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})
    elif head.is_streamed:
        await send({"type": "http.response.body", "body": error.event()})


def error_response(error: RequestError) -> Response:
    """The response of an error, with the headers that belong to it."""
    headers = {} if error.retry_after_sec is None else {"retry-after": str(error.retry_after_sec)}
    if error.is_loss and error.retry_after_sec is None:
        # OpenAI's clients send what got a 500 twice more by themselves, and another engine might die of it.
        headers["x-should-retry"] = "false"
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    return Response(error.body(), error.status, headers, JSON)
