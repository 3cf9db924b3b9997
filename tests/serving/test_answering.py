"""A request in a replica, with an engine that is a double: what becomes of its answers and of its faults."""

import asyncio
import json
from types import SimpleNamespace

import pytest
from pydantic import BaseModel

from app.serving.answering import CallAnswerer, in_bundles
from app.serving.replies import Reply, RequestError

VOCAB_TOKENS = 100


class Ask(BaseModel):
    prompt: str | list[int] | list[list[int]] | list[str]
    seed: int | None = None
    structured_outputs: dict[str, str] | None = None
    request_id: str = "theirs"


class Said(BaseModel):
    text: str


class VLLMClientError(Exception):
    pass


class VLLMValidationError(VLLMClientError):
    parameter = "input_tokens"


class EngineDeadError(Exception):
    pass


class GenerationError(Exception):
    pass


class Engine:
    """Says `results`; an exception among them is raised."""

    def __init__(self, *results):
        self.results = results
        self.requests = []
        self.is_closed = False

    async def completions(self, request, headers):
        self.requests.append(request)
        try:
            for result in self.results:
                if isinstance(result, Exception):
                    raise result
                await asyncio.sleep(0)
                yield result
        finally:
            self.is_closed = True


def answer(engine, body=b'{"prompt": [1, 2], "seed": 3}', takes_seeds=True, deaths=None) -> list:
    answerer = CallAnswerer(
        engine,
        {"completions": Ask.model_validate_json},
        vocab_tokens=VOCAB_TOKENS,
        unknown_texts=["<|pad|>"],
        takes_seeds=takes_seeds,
        on_death=lambda: (deaths if deaths is not None else []).append(1),
    )

    async def run() -> list:
        return [message async for message in answerer.answer("completions", body)]

    first, *rest = asyncio.run(run())
    assert first is None
    return rest


def test_a_whole_answer_is_one_reply():
    engine = Engine(Said(text="hi"))
    assert answer(engine) == [Reply(200, "application/json", b'{"text":"hi"}')]
    assert engine.requests[0].prompt == [1, 2]
    assert engine.requests[0].seed == 3
    assert engine.is_closed


def test_a_request_never_keeps_the_id_that_a_client_gave():
    engine = Engine(Said(text="hi"))
    answer(engine, b'{"prompt": "x", "request_id": "same"}')
    answer(engine, b'{"prompt": "x", "request_id": "same"}')
    ids = {request.request_id for request in engine.requests}
    assert len(ids) == 2
    assert not ids & {"same", "theirs"}


def test_seeds_are_left_out_where_they_kill_the_engine():
    engine = Engine(Said(text="hi"))
    answer(engine, takes_seeds=False)
    assert engine.requests[0].seed is None


def test_a_stream_keeps_every_piece_in_order():
    pieces = [*(f"data: {number}\n\n" for number in range(50)), DONE]
    head, *rest = answer(Engine(*pieces))
    assert head == Reply(200, "text/event-stream", pieces[0].encode())
    assert b"".join([head.body, *rest]) == "".join(pieces).encode()


def test_an_error_object_of_the_engine_keeps_its_status():
    said = SimpleNamespace(error=SimpleNamespace(message="too\nlong", code=400, param="prompt"))
    [error] = answer(Engine(said))
    assert (error.status, error.message, error.param) == (400, "too long", "prompt")


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (VLLMValidationError("maximum context length is 8 tokens"), 400),
        (ValueError("no such token"), 400),
        (NotImplementedError("not here"), 501),
        (RuntimeError("secret /path"), 500),
    ],
)
def test_faults_become_errors(fault, status):
    [error] = answer(Engine(fault))
    assert error.status == status
    assert ("secret" in error.message) is False
    assert status >= 500 or str(fault) in error.message


def test_an_error_that_repeats_the_prompt_is_cut():
    [error] = answer(Engine(ValueError("x" * 100_000)))
    assert len(error.body()) < 2000


@pytest.mark.parametrize("prompt", [[1, VOCAB_TOKENS], [[1], [VOCAB_TOKENS, 2]], [[], [10**30]], [[-1]]])
def test_a_token_id_that_the_model_does_not_have_never_reaches_the_engine(prompt):
    engine = Engine(Said(text="hi"))
    [error] = answer(engine, json.dumps({"prompt": prompt}).encode())
    assert (error.status, error.param) == (400, "prompt")
    assert f"the largest is {VOCAB_TOKENS - 1}" in error.message
    assert engine.requests == []


@pytest.mark.parametrize("prompt", [[VOCAB_TOKENS - 1, 0], [[0], []], [], "100", ["100", ""]])
def test_all_other_prompts_do(prompt):
    assert answer(Engine(Said(text="hi")), json.dumps({"prompt": prompt}).encode())[0].status == 200


@pytest.mark.parametrize("text", ['"a <|pad|>"', '["a", "<\\u007cpad|>"]'])
def test_a_text_with_a_token_that_the_model_does_not_have_never_reaches_the_engine(text):
    engine = Engine(Said(text="hi"))
    [error] = answer(engine, b'{"prompt": %s}' % text.encode())
    assert error.status == 400
    assert "'<|pad|>'" in error.message
    assert engine.requests == []


def test_who_had_a_request_in_an_engine_that_died_is_not_asked_to_send_it_again():
    deaths = []
    [error] = answer(Engine(EngineDeadError()), deaths=deaths)
    assert (error.status, error.is_loss, error.retry_after_sec) == (500, True, None)
    assert "again" not in error.message
    assert deaths == [1]


def test_who_comes_after_the_death_is_told_when_to_send_it_again():
    engine, deaths = Engine(EngineDeadError()), []
    answerer = CallAnswerer(
        engine,
        {"completions": Ask.model_validate_json},
        vocab_tokens=VOCAB_TOKENS,
        unknown_texts=["<|pad|>"],
        takes_seeds=True,
        on_death=lambda: deaths.append(1),
    )

    async def run() -> list:
        return [
            message
            for _ in range(2)
            async for message in answerer.answer("completions", b'{"prompt": "x"}')
            if message is not None
        ]

    first, second = asyncio.run(run())
    assert first.is_loss
    assert (second.status, second.is_loss) == (503, False)
    assert second.retry_after_sec
    assert len(engine.requests) == len(deaths) == 1


VLLM_DIED = (
    'data: {"error": {"message": "EngineCore encountered an issue. See stack trace (above) for the root cause.", '
    '"type": "InternalServerError", "param": null, "code": 500}}\n\n'
)
DONE = "data: [DONE]\n\n"


@pytest.mark.parametrize("end", [(EngineDeadError(),), (VLLM_DIED, DONE)])
@pytest.mark.parametrize("pieces", [(), ("data: 1\n\n", "data: 2\n\n")])
def test_an_engine_that_dies_in_a_stream_ends_it_with_an_error(pieces, end):
    deaths = []
    *begun, error = answer(Engine(*pieces, *end), deaths=deaths)
    text = b"".join(part.body if isinstance(part, Reply) else part for part in begun).decode()
    assert text == "".join(pieces)
    assert isinstance(error, RequestError)
    assert (error.status, error.is_loss) == (500, True)
    assert deaths == [1]


@pytest.mark.parametrize("pieces", [("data: 1\n\n",), ("data: 1\n\n", "data: 2\n\n")])
def test_a_stream_that_stops_without_its_end_is_no_whole_answer(pieces):
    *begun, error = answer(Engine(*pieces))
    text = b"".join(part.body if isinstance(part, Reply) else part for part in begun).decode()
    assert text == "".join(pieces)
    assert isinstance(error, RequestError)
    assert (error.status, error.message) == (
        502,
        "the engine's answer stopped before its end; send the request again",
    )


@pytest.mark.parametrize("fault", [
    GenerationError("Internal server error"),
    SimpleNamespace(error=SimpleNamespace(message="Internal server error", code=500)),
])  # fmt: skip
def test_a_grammar_that_cannot_be_compiled_is_the_clients_fault(fault):
    [error] = answer(Engine(fault), b'{"prompt": "x", "structured_outputs": {"grammar": "root ::= "}}')
    assert (error.status, error.param) == (400, "structured_outputs")
    [error] = answer(Engine(fault), b'{"prompt": "x"}')
    assert error.status == 500


@pytest.mark.parametrize("body", [b"{}", b'{"prompt": {}}', b"[]", b"{"])
def test_a_body_that_is_no_such_request_is_a_400_without_its_values(body):
    engine = Engine(Said(text="hi"))
    [error] = answer(engine, body)
    assert error.status == 400
    assert engine.requests == []


def test_a_field_that_the_parser_trips_over_is_the_clients_fault():
    def parse(body):
        return (5).get("json")  # type: ignore[attr-defined]

    answerer = CallAnswerer(
        Engine(),
        {"completions": parse},
        vocab_tokens=VOCAB_TOKENS,
        unknown_texts=[],
        takes_seeds=True,
        on_death=lambda: None,
    )

    async def run() -> list:
        return [message async for message in answerer.answer("completions", b"{}")]

    _, error = asyncio.run(run())
    assert error.status == 400


def test_a_client_that_goes_stops_the_engine():
    class Endless(Engine):
        async def completions(self, request, headers):
            try:
                yield "data: 1\n\n"
                await asyncio.Event().wait()
            finally:
                self.is_closed = True

    engine = Endless()

    async def run() -> None:
        answerer = CallAnswerer(
            engine,
            {"completions": Ask.model_validate_json},
            vocab_tokens=VOCAB_TOKENS,
            unknown_texts=["<|pad|>"],
            takes_seeds=True,
            on_death=lambda: None,
        )
        seen = []

        async def consume() -> None:
            async for message in answerer.answer("completions", b'{"prompt": "x"}'):
                seen.append(message)

        task = asyncio.create_task(consume())
        while len(seen) < 2:
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    assert engine.is_closed


def test_pieces_are_bundled_but_the_first_goes_at_once():
    async def run() -> list[str]:
        async def pieces():
            for number in range(10):
                yield str(number)
                await asyncio.sleep(0.001)

        return [bundle async for bundle in in_bundles(pieces(), 1.0)]

    bundles = asyncio.run(run())
    assert "".join(bundles) == "0123456789"
    assert bundles[0] == "0"
    assert len(bundles) < 5
