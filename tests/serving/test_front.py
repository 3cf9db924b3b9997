"""The front: routes, key, limits, errors in OpenAI's shape, streams, health, metrics, draining."""

import asyncio
import json
import pickle
from dataclasses import replace

import httpx
import pytest

from app.serving.access import digest_of
from app.serving.front import Front
from app.serving.replies import RequestError
from app.serving.request_limits import Limits
from tests.serving.fake_backend import FULL, STREAM, WHOLE, FakeBackend

MODELS = {"base": 8192, "org/long": None}
BODY = {"model": "base", "prompt": [1, 2, 3]}
COMPLETIONS = "/v1/completions"


CHAT_PATH = "/v1/chat/completions"
LIMITS = Limits(
    max_body_bytes=1000, max_all_bodies_bytes=2000, body_timeout_sec=20.0, timeout_sec=30.0, max_sequences=8
)


def front(backend=None, key=None, models=MODELS, **limits) -> Front:
    digest = None if key is None else digest_of(key)
    places = dict.fromkeys(models, 10)
    return Front(models, places, backend or FakeBackend(), replace(LIMITS, **limits), digest)


def ask(app, method="POST", path=COMPLETIONS, **options) -> httpx.Response:
    async def run() -> httpx.Response:
        return await send(app, method, path, **options)

    return asyncio.run(run())


async def send(app, method="POST", path=COMPLETIONS, **options) -> httpx.Response:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.request(method, path, **options)


def error(response) -> dict:
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["message"]
    assert isinstance(body["error"]["code"], str)
    return body["error"]


def test_a_request_reaches_its_model_as_it_was_sent():
    backend = FakeBackend()
    response = ask(front(backend), content=b'{"model": "org/long",  "prompt": "x"}', headers=JSON_TYPE)
    assert (response.status_code, response.content) == (200, WHOLE.body)
    assert backend.asked == [("org/long", "completions", b'{"model": "org/long",  "prompt": "x"}')]
    assert backend.num_left_early == 0


JSON_TYPE = {"content-type": "application/json; charset=utf-8"}


def test_chat_is_another_call():
    backend = FakeBackend()
    ask(
        front(backend), path=CHAT_PATH, json={"model": "base", "messages": [{"role": "user", "content": "x"}]}
    )
    assert backend.asked[0][1] == "chat"


@pytest.mark.parametrize(
    ("status", "part", "options"),
    [
        (400, "not JSON", {"content": b"{", "headers": JSON_TYPE}),
        (400, "not JSON", {"content": b"\xff\xfe", "headers": JSON_TYPE}),
        (400, "not JSON", {"content": b"", "headers": JSON_TYPE}),
        (400, "not a JSON object", {"json": [1]}),
        (400, "`model`", {"json": {"prompt": "x"}}),
        (400, "`model`", {"json": {"model": 3}}),
        (404, "base, org/long", {"json": {"model": "other"}}),
        (413, "max_body_bytes 1000", {"json": {"model": "base", "prompt": "x" * 1000}}),
        (415, "application/json", {"content": b"{}", "headers": {"content-type": "text/plain"}}),
        (405, "/v1/completions", {"method": "GET"}),
        (404, "/v1/chat/completions", {"path": "/v1/embeddings", "json": {}}),
        (404, "base", {"method": "GET", "path": "/v1/models/none"}),
    ],
)
def test_what_cannot_be_answered_is_refused_in_openai_s_shape(status, part, options):
    backend = FakeBackend()
    response = ask(front(backend), **options)
    assert response.status_code == status
    assert part in error(response)["message"]
    assert error(response)["type"] == "invalid_request_error"
    assert backend.asked == []


def test_deep_json_is_refused_and_not_a_fault_of_ours():
    response = ask(
        front(max_body_bytes=10**6, max_all_bodies_bytes=10**6), content=b"[" * 200_000, headers=JSON_TYPE
    )
    assert response.status_code == 400


def test_a_large_body_is_not_read_to_its_end():
    read = []

    async def pieces():
        for _ in range(100):
            read.append(1)
            yield b"x" * 100

    response = ask(front(), content=pieces(), headers=JSON_TYPE)
    assert response.status_code == 413
    # The client of the test reads all of it before; a server passes it on as it comes.
    assert error(response)


def test_the_only_model_needs_no_name():
    backend = FakeBackend()
    app = front(backend, models={"base": 1})
    assert ask(app, json={"prompt": "x"}).status_code == 200
    assert backend.asked[0][0] == "base"


@pytest.mark.parametrize("path", ["/v1/models", "/metrics", COMPLETIONS, "/nowhere"])
@pytest.mark.parametrize("header", [None, "Bearer wrong", "key", "Basic key", "Bearer ", "Bearer keyy"])
def test_without_the_key_nothing_is_told(path, header):
    backend = FakeBackend()
    headers = {} if header is None else {"authorization": header}
    response = ask(front(backend, key="key"), path=path, json=BODY, headers=headers)
    assert response.status_code == 401
    assert error(response)["code"] == "invalid_api_key"
    assert response.headers["www-authenticate"] == "Bearer"
    assert backend.asked == []


def test_with_the_key_all_is_answered_and_health_needs_none():
    app = front(key="key")
    headers = {"authorization": "Bearer key"}
    assert ask(app, json=BODY, headers=headers).status_code == 200
    assert ask(app, "GET", "/v1/models", headers=headers).status_code == 200
    assert ask(app, "GET", "/health").status_code == 200


def test_models_are_listed_with_their_lengths():
    data = ask(front(), "GET", "/v1/models").json()["data"]
    assert [(card["id"], card["max_model_len"], card["object"]) for card in data] == [
        ("base", 8192, "model"),
        ("org/long", None, "model"),
    ]
    assert ask(front(), "GET", "/v1/models/org/long").json()["id"] == "org/long"


def test_health_is_that_of_every_model():
    assert ask(front(), "GET", "/health").status_code == 200
    response = ask(front(FakeBackend(num_models_ready=1)), "GET", "/health")
    assert response.status_code == 503
    assert "1 of 2 models" in error(response)["message"]


def test_a_full_queue_says_when_to_come_again():
    response = ask(front(FakeBackend([FULL])), json=BODY)
    assert response.status_code == 429
    assert response.headers["retry-after"] == "5"
    assert error(response)["type"] == "rate_limit_error"


def test_an_error_of_the_replica_passes():
    lost = RequestError(503, "gone", retry_after_sec=5)
    response = ask(front(FakeBackend([None, lost])), json=BODY)
    assert (response.status_code, error(response)["message"]) == (503, "gone")


def test_a_replica_that_says_nothing_is_an_error():
    assert ask(front(FakeBackend([None])), json=BODY).status_code == 502


def test_a_fault_of_ours_tells_the_client_nothing_of_it():
    response = ask(front(FakeBackend([None, KeyError("secret")])), json=BODY)
    assert response.status_code == 500
    assert "secret" not in response.text


async def sent_by(app, body: dict, begun: asyncio.Event | None = None) -> list[dict]:
    """ASGI messages of an answer; `begun` is set when the first one is there."""
    sent: list[dict] = []
    given = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]
    scope = {
        "type": "http",
        "method": "POST",
        "path": COMPLETIONS,
        "raw_path": COMPLETIONS.encode(),
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
    }

    async def receive() -> dict:
        return given.pop()

    async def send(message: dict) -> None:
        sent.append(message)
        if begun is not None:
            begun.set()

    await app(scope, receive, send)
    return sent


@pytest.mark.parametrize("inner", ["[]", "{}", "[1]"])
def test_a_small_body_that_takes_much_memory_is_refused_before_it_is_read(inner):
    body = f'{{"model": "base", "prompt": "x", "other": [{", ".join([inner] * 120_000)}]}}'
    backend = FakeBackend()
    response = ask(
        front(backend, max_body_bytes=10**7, max_all_bodies_bytes=10**8), content=body, headers=JSON_TYPE
    )
    assert response.status_code == 400
    assert "more than 100,000 lists and objects" in error(response)["message"]
    assert backend.asked == []


def test_brackets_in_a_text_are_no_lists():
    text = 'if (a[1]) { say("x\\\\"); }' * 100_000
    app = front(max_body_bytes=10**8, max_all_bodies_bytes=10**9)
    assert ask(app, json=BODY | {"prompt": text}).status_code == 200


def test_a_stream_passes_piece_by_piece():
    sent = asyncio.run(sent_by(front(FakeBackend(list(STREAM))), BODY))
    assert sent[0]["status"] == 200
    assert (b"content-type", b"text/event-stream") in sent[0]["headers"]
    assert [message["body"] for message in sent[1:]] == [
        b"data: 1\n\n",
        b"data: 2\n\n",
        b"data: [DONE]\n\n",
        b"",
    ]
    assert not sent[-1].get("more_body")


def test_a_stream_that_breaks_ends_with_the_error():
    lost = RequestError(503, "gone")
    sent = asyncio.run(sent_by(front(FakeBackend([*STREAM[:2], lost])), BODY))
    assert sent[0]["status"] == 200
    last = sent[-1]["body"].decode()
    assert last.startswith("data: ")
    assert last.endswith("\n\n")
    assert json.loads(last[6:])["error"]["message"] == "gone"
    assert not sent[-1].get("more_body")


def test_a_stream_that_breaks_counts_as_failed():
    lost = RequestError(500, "the engine died", is_loss=True)
    app = front(FakeBackend([*STREAM[:2], lost]))
    sent = asyncio.run(sent_by(app, BODY))
    assert b"".join(message.get("body", b"") for message in sent).count(b"[DONE]") == 0
    assert app.traffic.num_failed == 1
    assert 'status="500"' in app.traffic.render().decode()


def test_what_died_with_its_engine_is_not_to_be_sent_again_and_given_up_after_two():
    lost = RequestError(500, "the engine died", is_loss=True)
    backend = FakeBackend([None, lost])
    app = front(backend)
    for _ in range(2):
        response = ask(app, json=BODY)
        assert response.status_code == 500
        assert response.headers["x-should-retry"] == "false"
    response = ask(app, json=BODY)
    assert (response.status_code, error(response)["code"]) == (400, "request_given_up")
    assert len(backend.asked) == 2
    backend.messages = [None, WHOLE]
    assert ask(app, json=BODY | {"prompt": "another"}).status_code == 200


def test_an_error_crosses_processes_as_it_is():
    lost = RequestError(500, "died", code="engine_died", param="x", retry_after_sec=3, is_loss=True)
    assert pickle.loads(pickle.dumps(lost)).__dict__ == lost.__dict__


def test_a_late_answer_is_an_error_with_the_limit_and_the_replica_stops():
    async def run() -> None:
        backend = FakeBackend([None, asyncio.Event()])
        response = await send(front(backend, timeout_sec=0.05), json=BODY)
        assert response.status_code == 504
        assert "0.05" in error(response)["message"]
        assert backend.num_left_early == 1

    asyncio.run(run())


def test_a_client_that_goes_stops_the_replica():
    async def run() -> None:
        backend = FakeBackend([None, asyncio.Event()])
        app = front(backend)
        asking = asyncio.create_task(sent_by(app, BODY))
        while not backend.asked:
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert backend.num_left_early == 1
        assert app.traffic.num_in_flight == 0
        assert 'status="499"' in app.traffic.render().decode()

    asyncio.run(run())


def test_a_client_that_goes_in_the_middle_of_a_stream_had_no_answer():
    async def run() -> None:
        backend = FakeBackend([*STREAM[:2], asyncio.Event()])
        app = front(backend)
        begun = asyncio.Event()
        asking = asyncio.create_task(sent_by(app, BODY, begun))
        await begun.wait()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert backend.num_left_early == 1
        shown = app.traffic.render().decode()
        assert 'status="499"' in shown
        assert 'status="200"' not in shown

    asyncio.run(run())


def test_draining_refuses_the_new_and_lets_the_old_end():
    async def run() -> None:
        released = asyncio.Event()
        backend = FakeBackend([None, released, WHOLE])
        app = front(backend)
        old = asyncio.create_task(send(app, json=BODY))
        while not backend.asked:
            await asyncio.sleep(0)
        app.drain()
        new = await send(app, json=BODY)
        assert new.status_code == 503
        assert new.headers["retry-after"]
        assert (await send(app, "GET", "/health")).status_code == 503
        assert app.traffic.num_in_flight == 1
        released.set()
        assert (await old).status_code == 200

    asyncio.run(run())


def test_what_is_cut_gets_an_error():
    async def run() -> None:
        backend = FakeBackend([None, asyncio.Event()])
        app = front(backend)
        asking = asyncio.create_task(send(app, json=BODY))
        while not backend.asked:
            await asyncio.sleep(0)
        app.drain()
        app.cut()
        response = await asking
        assert response.status_code == 503
        assert "stopping" in error(response)["message"]

    asyncio.run(run())


def test_a_body_that_never_ends_counts_as_under_way_and_is_cut():
    async def run() -> None:
        backend = FakeBackend()
        app = front(backend)
        reading = asyncio.Event()

        scope = {"type": "http", "method": "POST", "path": COMPLETIONS, "raw_path": b"", "query_string": b""}
        scope["headers"] = [(b"content-type", b"application/json")]
        sent = []

        async def receive() -> dict:
            reading.set()
            await asyncio.Event().wait()
            raise AssertionError

        async def keep(message: dict) -> None:
            sent.append(message)

        asking = asyncio.create_task(app(scope, receive, keep))
        await reading.wait()
        assert app.traffic.num_in_flight == 1
        app.drain()
        app.cut()
        await asking
        assert sent[0]["status"] == 503
        assert app.traffic.num_in_flight == 0

    asyncio.run(run())


def asked_with(receive, app) -> "asyncio.Task[list[dict]]":
    """A request whose body comes as `receive` says; its ASGI messages."""
    scope = {"type": "http", "method": "POST", "path": COMPLETIONS, "raw_path": b"", "query_string": b""}
    scope["headers"] = [(b"content-type", b"application/json")]
    sent: list[dict] = []

    async def send(message: dict) -> None:
        sent.append(message)

    async def run() -> list[dict]:
        await app(scope, receive, send)
        return sent

    return asyncio.create_task(run())


def test_bodies_have_a_time_limit_of_their_own():
    async def run() -> None:
        app = front(body_timeout_sec=0.05)
        sent = await asked_with(asyncio.Event().wait, app)
        assert sent[0]["status"] == 408
        assert b"body_timeout_sec 0.05" in sent[1]["body"]

    asyncio.run(run())


def test_held_uploads_take_no_more_than_all_bodies_may():
    async def run() -> None:
        app = front()

        def held():
            pieces = [{"type": "http.request", "body": b"x" * 900, "more_body": True}]

            async def receive() -> dict:
                if not pieces:
                    await asyncio.Event().wait()
                return pieces.pop()

            return receive

        uploads = [asked_with(held(), app) for _ in range(2)]
        await asyncio.sleep(0.01)
        refused = await send(app, json=BODY | {"prompt": "x" * 500})
        assert refused.status_code == 503
        assert "max_all_bodies_bytes 2000" in error(refused)["message"]
        assert refused.headers["retry-after"]
        for upload in uploads:
            upload.cancel()
        await asyncio.gather(*uploads, return_exceptions=True)
        for _ in range(5):
            assert (await send(app, json=BODY | {"prompt": "x" * 500})).status_code == 200

    asyncio.run(run())


@pytest.mark.parametrize(
    ("request_", "number"),
    [
        ({"prompt": ["a"] * 9}, 9),
        ({"prompt": ["a"] * 3, "n": 3}, 9),
        ({"prompt": [[1], [2]], "n": 5}, 10),
        ({"prompt": "a", "n": 10**9}, 10**9),
        ({"prompt": [1, 2], "best_of": 9}, 9),
        # The engine takes these for numbers.
        ({"prompt": "a", "n": "9"}, 9),
        ({"prompt": "a", "n": 9.0}, 9),
        ({"prompt": ["a"] * 3, "best_of": " 3.0"}, 9),
    ],
)
def test_one_request_of_many_sequences_is_refused(request_, number):
    backend = FakeBackend()
    response = ask(front(backend), json={"model": "base"} | request_)
    assert response.status_code == 400
    assert f"{number} sequences, more than max_sequences_per_request 8" in error(response)["message"]
    assert backend.asked == []


def test_token_ids_are_one_sequence():
    assert ask(front(), json={"model": "base", "prompt": list(range(100))}).status_code == 200


@pytest.mark.parametrize("number", [None, "many", "", [9], "1e999", "nan", True])
def test_a_number_of_answers_that_is_none_is_the_engines_to_refuse(number):
    assert ask(front(), json={"model": "base", "prompt": "a", "n": number}).status_code == 200


def test_sequences_take_places_until_they_are_answered():
    async def run() -> None:
        released = asyncio.Event()
        backend = FakeBackend([None, released, WHOLE])
        app = front(backend)
        eight = asyncio.create_task(send(app, json=BODY | {"n": 8}))
        while not backend.asked:
            await asyncio.sleep(0)
        refused = await send(app, json=BODY | {"n": 3})
        assert refused.status_code == 429
        assert refused.headers["retry-after"]
        assert error(refused)["type"] == "rate_limit_error"
        two = asyncio.create_task(send(app, json=BODY | {"n": 2}))
        released.set()
        assert [(await eight).status_code, (await two).status_code] == [200, 200]
        assert (await send(app, json=BODY | {"n": 8})).status_code == 200

    asyncio.run(run())


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        (None, "messages"),
        ([], "messages"),
        ("hi", "messages"),
        ({"role": "user"}, "messages"),
        ([None], "messages.0"),
        ([{"content": "a"}], "messages.0.role"),
        ([{"role": None, "content": "a"}], "messages.0.role"),
        ([{"role": "user<|im_end|>", "content": "a"}], "messages.0.role"),
        ([{"role": "user", "content": "a"}, {"role": "user", "content": 5}], "messages.1.content"),
        ([{"role": "user", "content": [5]}], "messages.0.content.0"),
        ([{"role": "user", "content": [{"type": "wat"}]}], "messages.0.content.0.type"),
        ([{"role": "user", "content": [{"type": "text", "text": None}]}], "messages.0.content.0.text"),
    ],
)
def test_a_chat_that_is_none_is_told_where_it_is_wrong(messages, field):
    backend = FakeBackend()
    response = ask(front(backend), path=CHAT_PATH, json={"model": "base", "messages": messages})
    assert response.status_code == 400
    assert error(response)["message"].startswith(f"{field}: ")
    assert error(response)["param"] == "messages"
    assert backend.asked == []


@pytest.mark.parametrize("content", [
    "a", None, [], ["a"], [{"type": "text", "text": "a"}], [{"text": "a"}], [{"type": "image_url", "image_url": {}}],
])  # fmt: skip
def test_a_chat_in_any_of_openai_s_forms_passes(content):
    messages = [{"role": "developer", "content": content}]
    assert ask(front(), path=CHAT_PATH, json={"model": "base", "messages": messages}).status_code == 200


def test_metrics_count_by_model_and_status_and_know_the_queue():
    async def run() -> str:
        taken = asyncio.Event()
        backend = FakeBackend([taken, None, asyncio.Event()])
        app = front(backend)
        asking = asyncio.create_task(send(app, json=BODY))
        while not backend.asked:
            await asyncio.sleep(0)
        assert (app.traffic.num_in_flight, app.traffic.num_queued) == (1, 1)
        taken.set()
        while app.traffic.num_queued:
            await asyncio.sleep(0)
        assert app.traffic.num_in_flight == 1
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        backend.messages = [None, WHOLE]
        await send(app, json=BODY)
        await send(app, json={"model": "who knows"})
        return (await send(app, "GET", "/metrics")).text

    text = asyncio.run(run())
    assert 'longstrap_requests_total{model="base",status="200"} 1.0' in text
    assert 'longstrap_requests_total{model="",status="404"} 1.0' in text
    assert 'longstrap_requests_in_flight{model="base"} 0.0' in text
    assert "ray_vllm_tokens 3" in text
    assert "who knows" not in text
