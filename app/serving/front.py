"""The HTTP side of the server: OpenAI's routes, key, limits, errors, health and metrics. It does not know about Ray.

GET  /v1/models, /v1/models/NAME
POST /v1/chat/completions, /v1/completions
GET  /health    200 when every model answers; for all
GET  /metrics   Prometheus' text format
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from app.serving.access import is_allowed
from app.serving.losses import Losses
from app.serving.replies import Message, Reply, RequestError
from app.serving.request_checks import check_messages, model_in, num_sequences, parsed
from app.serving.request_limits import RETRY_AFTER_SEC, Deadline, Limits, Room, read_body
from app.serving.sending import error_response, send_error, send_reply
from app.serving.traffic import NO_MODEL, Traffic

CALLS = {"/v1/chat/completions": "chat", "/v1/completions": "completions"}
"""Path → what a replica is asked to do."""
OPEN_PATHS = ("/health",)
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
logger = logging.getLogger(__name__)


class Backend(Protocol):
    """The models that the front serves."""

    def answer(
        self, model: str, call: str, body: bytes
    ) -> AbstractAsyncContextManager[AsyncIterator[Message]]:
        """Messages of one answer; leaving the block early tells the replica to stop.

        Raises:
            RequestError: The queue is full, or no replica of the model can be reached any more.
        """
        ...

    async def num_ready(self) -> int:
        """Models of which a replica answers."""
        ...

    async def engine_metrics(self) -> bytes:
        """The engines' own, in Prometheus' text format; empty where none can be had."""
        ...


class Front:
    """An ASGI application."""

    def __init__(
        self,
        models: Mapping[str, int | None],
        places: Mapping[str, int],
        backend: Backend,
        limits: Limits,
        key_digest: bytes | None,
    ) -> None:
        """Make the application.

        Args:
            models: Name in requests → longest prompt and answer together, where that is known.
            places: Sequences of each model that may be under way or wait.
            backend: Answers for them.
            limits: Limits of a request.
            key_digest: SHA-256 of the key that clients must send; None: none.
        """
        self._models = models
        self._backend = backend
        self._limits = limits
        self._key_digest = key_digest
        self._created_sec = int(time.time())
        self._is_draining = False
        self._is_cut = False
        self._deadlines: set[asyncio.Timeout] = set()
        self._losses = Losses()
        self._bodies = Room(limits.max_all_bodies_bytes)
        self._places = {name: Room(number) for name, number in places.items()}
        self.traffic = Traffic()
        self._app: ASGIApp = Starlette(
            routes=[
                Route("/health", self._health),
                Route("/metrics", self._metrics),
                Route("/v1/models", self._list_models),
                Route("/v1/models/{name:path}", self._show_model),
                *(Route(path, self._call, methods=["POST"]) for path in CALLS),
            ],
            exception_handlers={
                RequestError: self._refuse,
                HTTPException: self._refuse_route,
                Exception: self._own_fault,
            },
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: answer one request."""
        if scope["type"] == "http" and not self._may_ask(scope):
            refusal = RequestError(
                401, "no such API key; send `Authorization: Bearer KEY`", code="invalid_api_key"
            )
            self.traffic.count(NO_MODEL, refusal.status)
            await error_response(refusal)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def drain(self) -> None:
        """Refuse new requests; those under way go on."""
        self._is_draining = True

    def cut(self) -> None:
        """End the requests that are still under way, each with an error."""
        self._is_cut = True
        for deadline in self._deadlines:
            if not deadline.expired():
                deadline.reschedule(asyncio.get_running_loop().time())

    def _may_ask(self, scope: Scope) -> bool:
        if scope["path"] in OPEN_PATHS:
            return True
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        return is_allowed(given[0] if given else None, self._key_digest)

    async def _health(self, request: Request) -> Response:
        if self._is_draining:
            raise _stopping()
        num_ready = await self._backend.num_ready()
        if num_ready < len(self._models):
            raise RequestError(
                503, f"{num_ready} of {len(self._models)} models answer", retry_after_sec=RETRY_AFTER_SEC
            )
        return JSONResponse({"status": "ok"})

    async def _metrics(self, request: Request) -> Response:
        return Response(self.traffic.render() + await self._backend.engine_metrics(), media_type=METRICS_TYPE)

    async def _list_models(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [self._card(name) for name in self._models]})

    async def _show_model(self, request: Request) -> Response:
        return JSONResponse(self._card(self._known(request.path_params["name"])))

    def _card(self, name: str) -> dict[str, Any]:
        return {
            "id": name,
            "object": "model",
            "created": self._created_sec,
            "owned_by": "longstrap",
            "max_model_len": self._models[name],
        }

    async def _call(self, request: Request) -> Response:
        if self._is_draining:
            raise _stopping()
        call, limits = CALLS[request.url.path], self._limits
        with ExitStack() as held:
            share = held.enter_context(self._bodies.share(_full_of_bodies(limits.max_all_bodies_bytes)))
            with self.traffic.arrival():
                try:
                    async with Deadline(min(limits.body_timeout_sec, limits.timeout_sec), self._deadlines):
                        body = await read_body(request, limits.max_body_bytes, share)
                except TimeoutError:
                    raise _stopping() if self._is_cut else _slow(limits.body_timeout_sec) from None
            asked = parsed(body)
            model = self._known(model_in(asked, self._models))
            if call == "chat":
                check_messages(asked.get("messages"))
            number = num_sequences(asked, limits.max_sequences)
            if number > 1:
                # Single ones wait in Serve's own queue, which has a limit.
                held.enter_context(self._places[model].share(_full_queue(model, number))).grow(number)
            return _Answer(self, model, call, body, held.pop_all())

    def _known(self, name: str) -> str:
        if name not in self._models:
            raise RequestError(
                404,
                f"the model {name[:100]!r} does not exist; there are {', '.join(self._models)}",
                code="model_not_found",
                param="model",
            )
        return name

    async def send_answer(self, model: str, call: str, body: bytes, send: Send) -> None:
        """Ask a replica and pass its reply on unchanged. Anything that goes wrong on the way becomes an error reply."""
        head: Reply | None = None
        error: RequestError | None = None
        with self.traffic.request(model) as watch:
            try:
                self._losses.check(model, call, body)
                async with (
                    Deadline(self._limits.timeout_sec, self._deadlines),
                    self._backend.answer(model, call, body) as messages,
                ):
                    async for message in messages:
                        self.traffic.leave_queue(model, watch)
                        if isinstance(message, RequestError):
                            raise message
                        if isinstance(message, Reply):
                            head = message
                            self.traffic.begin_answer(model, watch)
                            await send_reply(head, send)
                        elif message is not None:
                            await send({"type": "http.response.body", "body": message, "more_body": True})
                if head is None:
                    error = RequestError(502, "the replica ended without an answer; send the request again")
            except RequestError as fault:
                error = fault
                if fault.is_loss:
                    self._losses.add(model, call, body)
            except TimeoutError:
                error = self._too_late()
            except Exception:
                # Nothing of the request or the key is in it: the record says where it happened.
                logger.exception("request for %s failed", model)
                error = RequestError(500, "the server failed on this request; its log says where")
            if error is not None:
                watch.status = error.status
                await send_error(error, head, send)
            elif head is not None:
                if head.is_streamed:
                    await send({"type": "http.response.body", "body": b""})
                # Not before: a client that goes in the middle of a stream had no answer.
                watch.status = head.status

    def _too_late(self) -> RequestError:
        if self._is_cut:
            return _stopping()
        return RequestError(
            504, f"no complete answer within request_timeout_sec {self._limits.timeout_sec:g}"
        )

    async def _refuse(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestError)
        if request.url.path in CALLS:
            self.traffic.count(NO_MODEL, error.status)
        return error_response(error)

    async def _refuse_route(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        paths = ", ".join(("/v1/models", *CALLS))
        what = "no such path" if error.status_code == 404 else f"{request.method} is not for this path"
        return error_response(RequestError(error.status_code, f"{what}; there are {paths}"))

    async def _own_fault(self, request: Request, error: Exception) -> Response:
        if isinstance(error, ClientDisconnect):
            return Response(status_code=400)
        return error_response(RequestError(500, "the server failed on this request; its log says where"))


class _Answer(Response):
    """What a replica says, sent as it comes."""

    def __init__(self, front: Front, model: str, call: str, body: bytes, held: ExitStack) -> None:
        super().__init__()
        self._front, self._model, self._call, self._request_body = front, model, call, body
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._held:
            await self._front.send_answer(self._model, self._call, self._request_body, send)


def _full_of_bodies(max_bytes: int) -> RequestError:
    return RequestError(
        503,
        f"the bodies of all requests are more than max_all_bodies_bytes {max_bytes}; send the request again later",
        retry_after_sec=RETRY_AFTER_SEC,
    )


def _full_queue(model: str, number: int) -> RequestError:
    return RequestError(
        429,
        f"the queue of {model} has no place for {number} sequences more; send the request again later",
        code="rate_limit_exceeded",
        retry_after_sec=RETRY_AFTER_SEC,
    )


def _slow(limit_sec: float) -> RequestError:
    return RequestError(408, f"the body did not come within body_timeout_sec {limit_sec:g}; send it faster")


def _stopping() -> RequestError:
    return RequestError(503, "the server is stopping; ask another one", retry_after_sec=RETRY_AFTER_SEC)
