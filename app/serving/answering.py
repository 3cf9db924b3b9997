"""One request inside a replica: its JSON → the engine → its reply. It knows only how to call an engine."""

import asyncio
import json
import logging
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping
from contextlib import aclosing
from typing import Any

from pydantic import ValidationError

from app.serving.replies import EVENT_STREAM, JSON, Message, Reply, RequestError

BUNDLE_SEC = 0.02
"""Pieces of a stream that come within this time go on together: each message between processes costs."""
MAX_ERROR_CHARS = 1000
"""vLLM's errors may repeat a whole prompt."""
RESTART_SEC = 30
"""When to ask again for an engine that is started anew."""
ERROR_PIECE = 'data: {"error"'
"""How vLLM begins the last piece of a stream that breaks; it says [DONE] behind it all the same."""
LAST_PIECE = "data: [DONE]\n\n"
"""What every whole stream ends with."""
DEAD_ENGINE, FAILED_OUTPUT = "EngineCore encountered an issue", "Internal server error"
"""What vLLM says of an engine that died, and of a sequence that the engine gave up."""
logger = logging.getLogger(__name__)


class CallAnswerer:
    """Answers calls with an engine that speaks OpenAI's protocol, as `ray.serve.llm`'s do."""

    def __init__(
        self,
        engine: Any,
        parsers: Mapping[str, Callable[[bytes], Any]],
        *,
        vocab_tokens: int,
        unknown_texts: Collection[str],
        takes_seeds: bool,
        on_death: Callable[[], None],
    ) -> None:
        """Put it before an engine.

        Args:
            engine: With an async generator of the name of each call, which takes a request and headers.
            parsers: Call → makes its request of a body.
            vocab_tokens: Token ids that the model knows. vLLM 0.29 takes one more where the tokenizer's vocabulary is
                as large as the model's, and the engine dies of it.
            unknown_texts: Tokens of the tokenizer whose ids the model does not have, as an added padding token's. Texts
                with one in them are refused too.
            takes_seeds: Otherwise a request's `seed` is left out: vLLM 0.29's CPU engine dies of one whose prefill is
                chunked ("CPU Generator does not use offset").
            on_death: Called when the engine is found dead.
        """
        self._engine = engine
        self._parsers = parsers
        self._vocab_tokens = vocab_tokens
        self._unknown_texts = unknown_texts
        self._takes_seeds = takes_seeds
        self._on_death = on_death
        self._is_dead = False

    async def answer(self, call: str, body: bytes) -> AsyncGenerator[Message, None]:
        """Messages of one answer; an error is the last one."""
        yield None
        if self._is_dead:
            yield RequestError(
                503, "the engine is started anew; send the request again", retry_after_sec=RESTART_SEC
            )
            return
        request: Any = None
        try:
            request = self._parsed(call, body)
            async with aclosing(self._ask(call, request)) as replies:
                async for reply in replies:
                    yield reply
        except Exception as error:
            yield self._fault_of(error, request)

    def _parsed(self, call: str, body: bytes) -> Any:
        try:
            request = self._parsers[call](body)
        except (AttributeError, LookupError) as error:
            # vLLM's own checks take some fields for objects before anything has looked at their kind.
            raise RequestError(
                400, f"a field has a value of another kind ({_shortened(str(error))})"
            ) from error
        # The engine's requests are told apart by it: two of one client's choice must not meet.
        request.request_id = uuid.uuid4().hex
        if not self._takes_seeds:
            request.seed = None
        check_token_ids(getattr(request, "prompt", None), self._vocab_tokens)
        _check_texts(body, self._unknown_texts)
        return request

    async def _ask(self, call: str, request: Any) -> AsyncGenerator[Message, None]:
        async with aclosing(getattr(self._engine, call)(request, None)) as results:
            first = await anext(results)
            if not isinstance(first, str):
                yield _whole_reply(first)
                return
            _check_piece(first)
            yield Reply(200, EVENT_STREAM, first.encode())
            async with aclosing(in_bundles(_sound(first, results), BUNDLE_SEC)) as bundles:
                async for bundle in bundles:
                    yield bundle.encode()

    def _fault_of(self, error: Exception, request: Any) -> RequestError:
        """The error that a client gets. vLLM's errors are recognised by name, because importing them takes seconds."""
        names = {kind.__name__ for kind in type(error).__mro__}
        text = _shortened(str(error))
        if "EngineDeadError" in names or (isinstance(error, RequestError) and DEAD_ENGINE in text):
            self._is_dead = True
            self._on_death()
            return RequestError(
                500,
                "the engine died under this request, and is started anew; the request may be the cause",
                code="engine_died",
                is_loss=True,
            )
        if ("GenerationError" in names or text == FAILED_OUTPUT) and (field := _grammar_field(request)):
            return RequestError(400, f"{field}: no grammar can be made of it; give another one", param=field)
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
        logger.exception("%s failed", type(error).__name__, exc_info=error)
        return RequestError(500, "the engine failed on this request; the replica's log says where")


def check_token_ids(prompt: Any, vocab_tokens: int) -> None:
    """Refuse a prompt of token ids that the model does not have.

    Raises:
        RequestError: names the first such id and the largest there is.
    """
    if not isinstance(prompt, list):
        return
    for ids in [prompt] if prompt and isinstance(prompt[0], int) else prompt:
        if not isinstance(ids, list) or (max(ids, default=0) < vocab_tokens and min(ids, default=0) >= 0):
            continue
        wrong = next(token for token in ids if not 0 <= token < vocab_tokens)
        raise RequestError(
            400,
            f"prompt: the token id {wrong} is not in the model's vocabulary; the largest is {vocab_tokens - 1}",
            param="prompt",
        )


def _check_texts(body: bytes, unknown: Collection[str]) -> None:
    # Of models whose tokenizer knows no more than they do, which most are, nothing is looked at.
    text = json.dumps(json.loads(body), ensure_ascii=False) if unknown else ""
    if wrong := next((each for each in unknown if json.dumps(each, ensure_ascii=False)[1:-1] in text), None):
        raise RequestError(
            400, f"the request holds {wrong!r}, a token that the model does not have; leave it out"
        )


def _grammar_field(request: Any) -> str | None:
    """The request's field that asks for a grammar, if one does."""
    if getattr(request, "structured_outputs", None) is not None:
        return "structured_outputs"
    wanted = getattr(getattr(request, "response_format", None), "type", "text")
    return None if wanted == "text" else "response_format"


async def _sound(first: str, pieces: AsyncIterator[str]) -> AsyncGenerator[str, None]:
    """Pieces of a stream behind its first one, as they come.

    Raises:
        RequestError: one is an error, or the stream stops without its end.
    """
    last = first
    async for last in pieces:
        _check_piece(last)
        yield last
    if not last.endswith(LAST_PIECE):
        raise RequestError(502, "the engine's answer stopped before its end; send the request again")


def _check_piece(piece: str) -> None:
    if piece.startswith(ERROR_PIECE):
        error = json.loads(piece.removeprefix("data: "))["error"]
        raise RequestError(int(error["code"]), _shortened(error["message"]), param=error.get("param"))


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
    """The reply for an engine's response object.

    Raises:
        RequestError: it is an error object.
    """
    error = getattr(result, "error", None)
    if error is None:
        return Reply(200, JSON, result.model_dump_json().encode())
    raise RequestError(int(error.code), _shortened(error.message), param=getattr(error, "param", None))


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_ERROR_CHARS else f"{line[: MAX_ERROR_CHARS - 1]}…"


def _first_fault(error: ValidationError) -> str:
    """The first of pydantic's faults; of a union it names each branch, which no client knows."""
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    fault = faults[0]
    place = ".".join(str(part) for part in fault["loc"] if not str(part).startswith(("list[", "function-")))
    return f"{place or 'the body'}: {fault['msg']}"
