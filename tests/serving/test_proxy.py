"""What Serve's proxy would fail on is refused before it, in OpenAI's shape."""

import asyncio
import json

import pytest
from ray.serve._private.http_util import validate_http_proxy_callback_return
from ray.serve._private.utils import call_function_from_import_path
from starlette.middleware import Middleware

from app.cluster.connection import PROXY_CALLBACK
from app.serving.proxy import HeaderCheck


def asked(headers: list[tuple[bytes, bytes]]) -> list[dict]:
    """ASGI messages of an answer; an empty 200 where the application behind was asked."""
    sent: list[dict] = []

    async def behind(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message):
        sent.append(message)

    async def receive():
        raise AssertionError

    scope = {"type": "http", "method": "GET", "path": "/health", "headers": headers}
    asyncio.run(HeaderCheck(behind)(scope, receive, send))
    return sent


@pytest.mark.parametrize("name", [b"x-request-id", b"serve_multiplexed_model_id", b"x-session-id"])
def test_a_header_that_is_no_ascii_is_a_400(name):
    start, body = asked([(b"host", b"x"), (name, b"\xff\xfe")])
    assert start["status"] == 400
    error = json.loads(body["body"])["error"]
    assert error["message"].startswith(f"the header {name.decode()} is not ASCII")
    assert error["code"] == "bad_request"


@pytest.mark.parametrize("headers", [[], [(b"x-request-id", b"mine")], [(b"authorization", b"Bearer \xff")]])
def test_all_others_pass(headers):
    assert asked(headers)[0]["status"] == 200


def test_serve_can_load_it():
    [path] = PROXY_CALLBACK.values()
    [middleware] = validate_http_proxy_callback_return(call_function_from_import_path(path))
    assert isinstance(middleware, Middleware)
