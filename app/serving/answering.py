"""One request inside a replica: its JSON → the engine → its reply. It knows only how to call an engine."""

import asyncio
import logging
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any

from pydantic import ValidationError

from app.serving.replies import EVENT_STREAM, JSON, Message, Reply, RequestError

BUNDLE_SEC = 0.02
"""Pieces of a stream that come within this time go on together: each message between processes costs."""
MAX_ERROR_CHARS = 1000
"""vLLM's errors may repeat a whole prompt."""
logger = logging.getLogger(__name__)


class CallAnswerer:
    """Answers calls with an engine that speaks OpenAI's protocol, as `ray.serve.llm`'s do."""

    def __init__(
        self,
        engine: Any,
        parsers: Mapping[str, Callable[[bytes], Any]],
        *,
        takes_seeds: bool,
        on_death: Callable[[], None],
    ) -> None:
        """Put it before an engine.

        Args:
            engine: With an async generator of the name of each call, which takes a request and headers.
            parsers: Call → makes its request of a body.
            takes_seeds: Otherwise a request's `seed` is left out: vLLM 0.29's CPU engine dies of one whose prefill is
                chunked ("CPU Generator does not use offset").
            on_death: Called when the engine is found dead.
        """
        self._engine = engine
        self._parsers = parsers
        self._takes_seeds = takes_seeds
        self._on_death = on_death

    async def answer(self, call: str, body: bytes) -> AsyncGenerator[Message, None]:
        """Messages of one answer; an error is one too."""
        yield None
        try:
            async with aclosing(self._ask(call, body)) as replies:
                async for reply in replies:
                    yield reply
        except Exception as error:
            fault = self._fault_of(error)
            yield Reply(fault.status, JSON, fault.body())

    async def _ask(self, call: str, body: bytes) -> AsyncGenerator[Message, None]:
        request = self._parsers[call](body)
        # The engine's requests are told apart by it: two of one client's choice must not meet.
        request.request_id = uuid.uuid4().hex
        if not self._takes_seeds:
            request.seed = None
        async with aclosing(getattr(self._engine, call)(request, None)) as results:
            first = await anext(results)
            if not isinstance(first, str):
                yield _whole_reply(first)
                return
            yield Reply(200, EVENT_STREAM, first.encode())
            try:
                async with aclosing(in_bundles(results, BUNDLE_SEC)) as bundles:
                    async for bundle in bundles:
                        yield bundle.encode()
            except Exception as error:
                yield self._fault_of(error).event()

    def _fault_of(self, error: Exception) -> RequestError:
        """The error that a client gets. vLLM's errors are recognised by name, because importing them takes seconds."""
        names = {kind.__name__ for kind in type(error).__mro__}
        text = _shortened(str(error))
        if isinstance(error, RequestError):
            return error
        if isinstance(error, ValidationError):
            return RequestError(400, _first_fault(error))
        if "GracefulHTTPError" in names:
            return RequestError(int(getattr(error, "http_status", 503)), text)
        if names & {"VLLMNotFoundError"}:
            return RequestError(404, text)
        if names & {"VLLMClientError", "ValueError", "TypeError", "OverflowError", "TemplateError"}:
            return RequestError(400, text, param=getattr(error, "parameter", None))
        if "NotImplementedError" in names:
            return RequestError(501, text)
        if "EngineDeadError" in names:
            self._on_death()
            return RequestError(503, "the engine died under this request and is started anew; send it again")
        logger.exception("%s failed", type(error).__name__, exc_info=error)
        return RequestError(500, "the engine failed on this request; the replica's log says where")


async def in_bundles(pieces: AsyncIterator[str], pause_sec: float) -> AsyncGenerator[str, None]:
    """Pieces of a text joined: the first at once, then whatever has come in a pause.

    Args:
        pieces: Pieces of the reply, as they are generated.
        pause_sec: Least time between two bundles, save before the last one.
    """
    waiting: asyncio.Queue[str] = asyncio.Queue()

    async def gather() -> None:
        async for piece in pieces:
            waiting.put_nowait(piece)

    gathering = asyncio.create_task(gather())
    try:
        while not (gathering.done() and waiting.empty()):
            getting = asyncio.create_task(waiting.get())
            await asyncio.wait({getting, gathering}, return_when=asyncio.FIRST_COMPLETED)
            if not getting.done():
                getting.cancel()
                continue
            bundle = [getting.result()]
            while not waiting.empty():
                bundle.append(waiting.get_nowait())
            yield "".join(bundle)
            await asyncio.wait({gathering}, timeout=pause_sec)
        await gathering
    finally:
        gathering.cancel()
        await asyncio.gather(gathering, return_exceptions=True)


def _whole_reply(result: Any) -> Reply:
    """The reply for an engine's response object or error object."""
    error = getattr(result, "error", None)
    if error is None:
        return Reply(200, JSON, result.model_dump_json().encode())
    fault = RequestError(int(error.code), _shortened(error.message), param=getattr(error, "param", None))
    return Reply(fault.status, JSON, fault.body())


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_ERROR_CHARS else f"{line[: MAX_ERROR_CHARS - 1]}…"


def _first_fault(error: ValidationError) -> str:
    """The first of pydantic's faults; of a union it names each branch, which no client knows."""
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    fault = faults[0]
    place = ".".join(str(part) for part in fault["loc"] if not str(part).startswith(("list[", "function-")))
    return f"{place or 'the body'}: {fault['msg']}"
