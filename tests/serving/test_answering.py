"""A request in a replica, with an engine that is a double: what becomes of its answers and of its faults."""

import asyncio
import json
from types import SimpleNamespace

import pytest
from pydantic import BaseModel

from app.serving.answering import CallAnswerer, in_bundles
from app.serving.replies import Reply


class Ask(BaseModel):
    prompt: str | list[int]
    seed: int | None = None
    request_id: str = "theirs"


class Said(BaseModel):
    text: str


class VLLMClientError(Exception):
    pass


class VLLMValidationError(VLLMClientError):
    parameter = "input_tokens"


class EngineDeadError(Exception):
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
    pieces = [f"data: {number}\n\n" for number in range(50)]
    head, *rest = answer(Engine(*pieces))
    assert head == Reply(200, "text/event-stream", pieces[0].encode())
    assert b"".join([head.body, *rest]) == "".join(pieces).encode()


def test_an_error_object_of_the_engine_keeps_its_status():
    said = SimpleNamespace(error=SimpleNamespace(message="too\nlong", code=400, param="prompt"))
    [reply] = answer(Engine(said))
    assert reply.status == 400
    assert json.loads(reply.body)["error"]["message"] == "too long"
    assert json.loads(reply.body)["error"]["param"] == "prompt"


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
    [reply] = answer(Engine(fault))
    assert reply.status == status
    message = json.loads(reply.body)["error"]["message"]
    assert ("secret" in message) is False
    assert status >= 500 or str(fault) in message


def test_an_error_that_repeats_the_prompt_is_cut():
    [reply] = answer(Engine(ValueError("x" * 100_000)))
    assert len(reply.body) < 2000


def test_a_dead_engine_is_told_of_once_for_all_its_requests():
    deaths = []
    [reply] = answer(Engine(EngineDeadError()), deaths=deaths)
    assert reply.status == 503
    assert deaths == [1]


def test_an_engine_that_dies_in_a_stream_ends_it_with_an_error():
    deaths = []
    head, *rest = answer(Engine("data: 1\n\n", "data: 2\n\n", EngineDeadError()), deaths=deaths)
    assert head.status == 200
    last = b"".join(rest).decode().split("\n\n")[-2]
    assert json.loads(last.removeprefix("data: "))["error"]["type"] == "server_error"
    assert deaths == [1]


@pytest.mark.parametrize("body", [b"{}", b'{"prompt": {}}', b"[]", b"{"])
def test_a_body_that_is_no_such_request_is_a_400_without_its_values(body):
    engine = Engine(Said(text="hi"))
    [reply] = answer(engine, body)
    assert reply.status == 400
    assert engine.requests == []


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
            engine, {"completions": Ask.model_validate_json}, takes_seeds=True, on_death=lambda: None
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
