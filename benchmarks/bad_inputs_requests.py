"""Bad requests over a real socket to the server's front, behind which is no engine, but an echo of what would reach it."""
# ruff: noqa: E501

import contextlib
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn

from app.serving.access import digest_of
from app.serving.answering import check_token_ids
from app.serving.front import Front
from app.serving.proxy import HeaderCheck
from app.serving.replies import JSON, Message, Reply
from app.serving.replies import RequestError as Refusal
from app.serving.request_limits import Limits
from benchmarks.bad_inputs_judging import Case, Either, Line

KEY, MODEL = "sk-bad-inputs", "base"
LIMITS = Limits(2_000_000, 8_000_000, body_timeout_sec=2.0, timeout_sec=20.0, max_sequences=64)
CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
HI = [{"role": "user", "content": "hi"}]
WAIT_SEC = 30.0


class Echo:
    """Models that say what they were asked."""

    @asynccontextmanager
    async def answer(self, model: str, call: str, body: bytes) -> AsyncIterator[AsyncIterator[Message]]:
        """One reply that is the request."""

        async def messages() -> AsyncIterator[Message]:
            yield Reply(200, JSON, body)

        yield messages()

    async def num_ready(self) -> int:
        """The one model."""
        return 1

    async def engine_metrics(self) -> bytes:
        """None."""
        return b""


class FrontServer:
    """The front on a port of loopback, with what Serve's proxy has before it."""

    def __init__(self) -> None:
        front = Front({MODEL: 8192}, {MODEL: 64}, Echo(), LIMITS, digest_of(KEY))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        config = uvicorn.Config(HeaderCheck(front), port=self.port, log_level="critical", lifespan="off")
        self._server = uvicorn.Server(config)
        threading.Thread(target=self._server.run, daemon=True).start()
        while not self._server.started:
            time.sleep(0.05)

    def close(self) -> None:
        """End the server."""
        self._server.should_exit = True

    def send(self, data: bytes) -> bytes:
        """All that the server says to some bytes."""
        with socket.create_connection(("127.0.0.1", self.port), WAIT_SEC) as connection:
            # It hangs up on a body that it does not want; what it said before is there to be read.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(data)
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                while piece := connection.recv(65_536):
                    answer += piece
            return answer


def request_cases(server: FrontServer, shared: Path | None) -> Iterator[Case]:
    """All cases of requests.

    Args:
        server: Is asked.
        shared: Kept inputs, where there are any.
    """
    for name, path, body, start in _requests():
        yield Case(
            f"{name} {body[:40]!r}", _asking(server, head(path, body), body), Line(start) if start else body
        )
    for name, data, start in _heads():
        yield Case(name, _asking(server, data, b""), Line(start))
    prompt: Any
    for prompt in ([100], [-1], [[1], [2, 100]], [10**30], [[-5]]):
        yield Case(f"token ids {prompt!r:.40}", lambda prompt=prompt: _ids(prompt), Line("400 prompt: "))  # type: ignore[misc]
    for prompt in ([99], [[1], [2]], "text", ["a"], [], [[]], None):
        yield Case(f"token ids {prompt!r}", lambda prompt=prompt: _ids(prompt), None)  # type: ignore[misc]
    if shared is not None:
        yield from _kept(server, shared)


def head(path: str, body: bytes, method: str = "POST", key: str = KEY, kind: str = JSON) -> bytes:
    """A request as it goes over the line."""
    lines = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: close", f"Authorization: Bearer {key}"]
    lines += [f"Content-Type: {kind}", f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def _requests() -> Iterator[tuple[str, str, bytes, str]]:
    """Name, path, body, and how the refusal begins; none for what must reach the model as it is."""
    for body in (b"", b"x", b"[1]", b"null", b"5", b'"a"', b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 50_000, bytes(9), b"{'model': 'base'}"):  # fmt: skip
        yield "body", CHAT, body, "400 the body is not "
    for model, start in ((5, "400 `model`"), (["base"], "400 `model`"), ("", "404 the model"), ("Base", "404 the model"), ("../base", "404 the model"), ("b" * 9000, "404 the model"), ("a\r\nX: b", "404 the model"), (True, "400 `model`")):  # fmt: skip
        yield "model", CHAT, _chat(model=model), start
    messages: Any
    fields: dict[str, Any]
    for messages in (None, "hi", {}, 5, [], [None], [5], ["a"], [[]], [{}], [{"content": "a"}], [{"role": 5}], [{"role": ""}], [{"role": "user<|im_end|>", "content": "a"}], [{"role": "a b", "content": "c"}],
                     [{"role": "user", "content": 5}], [{"role": "user", "content": {}}], [{"role": "user", "content": [5]}], [{"role": "user", "content": [{"type": "wat"}]}],
                     [{"role": "user", "content": [{"type": "text"}]}], [{"role": "user", "content": [{"type": 5}]}], [{"role": "user", "content": [{"type": "text", "text": 5}]}], [{"role": "r" * 65, "content": "a"}], [*HI, None]):  # fmt: skip
        yield "messages", CHAT, _chat(messages=messages), "400 messages"
    for fields in ({"n": 65}, {"n": 10**30}, {"best_of": 99}, {"prompt": ["a"] * 65}, {"prompt": [[1]] * 100}, {"prompt": ["a", "b"], "n": 33}):  # fmt: skip
        yield "sequences", TEXT, _text(**fields), "400 "
    for fields in ({}, {"n": 64}, {"prompt": ["a"] * 64}, {"prompt": [1, 2]}, {"prompt": list(range(9000))}, {"n": "x"}, {"prompt": None}, {"n": None}, {"zzz": [[[]]]}, {"temperature": -1}, {"prompt": "\ud83d"}):  # fmt: skip
        yield "passed on", TEXT, _text(**fields), ""
    yield "passed on", CHAT, _chat(), ""
    # A part of no kind is the engine's to refuse.
    yield "passed on", CHAT, _chat(messages=[{"role": "user", "content": [{}]}]), ""
    yield "passed on", CHAT, json.dumps({"messages": HI}).encode(), ""
    yield "passed on", CHAT, b"\n " + _chat() + b"\n", ""
    yield "large", CHAT, b'{"a":"' + b"x" * 2_000_000 + b'"}', "413 "


def _heads() -> Iterator[tuple[str, bytes, str]]:
    good = _chat()
    for method, path, start in (("GET", CHAT, "405"), ("PUT", CHAT, "405"), ("DELETE", "/v1/models", "405"), ("POST", "/v1/nothing", "404"), ("GET", "/v1/models/nope", "404"), ("GET", "/v1/models/..%2f..", "404"), ("POST", f"{CHAT}x", "404"), ("GET", "/", "404"), ("GET", "/docs", "404"), ("GET", "/openapi.json", "404")):  # fmt: skip
        yield f"{method} {path}", head(path, good, method), start
    for key in ("", "x", KEY[:-1], KEY + "x", KEY.upper()):
        yield f"key {key[:3]!r}", head(CHAT, good, key=key), "401 "
        yield f"key {key[:3]!r} of a path that is not", head("/-/nothing", good, key=key), "401 "
    for name, value in (("X-Api-Key", KEY), ("Authorization", f"Basic {KEY}"), ("Authorization", KEY)):
        data = head(CHAT, good).replace(f"Authorization: Bearer {KEY}".encode(), f"{name}: {value}".encode())
        yield f"key as {name} {value[:5]}", data, "401 "
    for kind in ("text/plain", "", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx", "text/json"):  # fmt: skip
        yield f"type {kind!r}", head(CHAT, good, kind=kind), "415 "
    yield "a header beyond ASCII", head(CHAT, good).replace(b"Host: x", b"X-Request-Id: \xff\xfe"), "400 "
    yield "a body that stops", head(CHAT, good)[:-5], "408 "
    yield "a body that never comes", head(CHAT, good)[: -len(good)], "408 "


def _chat(**fields: Any) -> bytes:
    return json.dumps({"model": MODEL, "messages": HI, "max_tokens": 4} | fields).encode()


def _text(**fields: Any) -> bytes:
    return json.dumps({"model": MODEL, "prompt": "hi", "max_tokens": 4} | fields).encode()


def _ids(prompt: Any) -> Any:
    try:
        check_token_ids(prompt, 100)
    except Refusal as error:
        return Line(f"{error.status} {error.message}")
    return None


def _outcome(answer: bytes) -> Any:
    """The model's echo, or the refusal as status and message.

    Raises:
        RuntimeError: a fault of the server's own, or a refusal in another shape than OpenAI's.
    """
    top, _, body = answer.partition(b"\r\n\r\n")
    if top.startswith(b"HTTP/1.1 100"):
        top, _, body = body.partition(b"\r\n\r\n")
    status = int(top.split(b" ")[1]) if top.startswith(b"HTTP/") else 0
    if status < 300:
        return body
    if status < 400:
        return Line(f"{status} moved")
    if status in (400, 403) and (not body or b"content-type: text/plain" in top.lower()):
        # The HTTP server's own, of what is no HTTP, and of WebSockets.
        return Line(f"{status} no HTTP")
    error = json.loads(body)["error"]
    if status >= 500 or set(error) != {"message", "type", "param", "code"}:
        raise RuntimeError(f"{status} {body[:300]!r}")
    return Line(f"{status} {error['message']}")


def _asking(server: FrontServer, data: bytes, body: bytes) -> Callable[[], Any]:
    return lambda: _outcome(server.send(data))


def _kept(server: FrontServer, shared: Path) -> Iterator[Case]:
    """258 requests: each is refused in OpenAI's shape, or reaches the model as it was sent."""
    source = (shared / "cases" / "serving" / "bad.py").read_text("utf-8")
    known: dict[str, Any] = {}
    exec(compile(source.partition("\nres=[]; bads=[]")[0], "bad.py", "exec"), known)
    known["PORT"], known["KEY"] = server.port, KEY
    sent: list[bytes] = []
    send = known["raw"]

    def noting(data: bytes, *arguments: Any, **options: Any) -> Any:
        sent.append(b"".join(options.get("chunks") or [data or b""]))
        return send(data, *arguments, **options)

    known["raw"] = noting
    for name, ask, _ in known["cases"]:

        def attempt(ask: Any = ask) -> Any:
            sent.clear()
            status, answer, _ = ask()
            found = _outcome(answer) if status is not None else None
            if isinstance(found, Line):
                return found
            top, _, body = sent[-1].partition(b"\r\n\r\n")
            is_right = found == body or not top.startswith(b"POST")
            return "passed on" if is_right else found

        yield Case(f"kept: {name}", attempt, Either(Line(""), "passed on"))
