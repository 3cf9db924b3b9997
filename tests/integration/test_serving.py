"""SmolLM2 behind the URL, by the real vLLM and Ray Serve: what clients send, and what happens when something breaks."""

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator

import httpx
import openai
import psutil
import pytest

from tests.integration.bad_requests import ask_all, known_cases, made_cases
from tests.integration.served_smollm2 import KEY, STOP_SEC, Served, serve_smollm2

pytestmark = pytest.mark.timeout(900)

MAX_TOKENS = 2048
CHAT = [{"role": "user", "content": "Say hello."}]
LONG_CHAT = [{"role": "user", "content": "long " * 3000}]
JSON_TYPE = {"content-type": "application/json"}
NUM_REQUESTS, NUM_BEFORE_THE_KILL, NUM_LONG = 200, 30, 4


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    model = {
        "max_model_tokens": MAX_TOKENS,
        # CPUs without instructions for bfloat16 take several times as long with it.
        "dtype": "float32",
        "cpu_kv_cache_gib": 1,
        "min_replicas": 2,
        "max_replicas": 2,
        "max_concurrent_requests": 16,
        "max_queued_requests": 180,
        "engine_args": {"max_num_batched_tokens": 512},
    }
    with serve_smollm2(model, max_body_bytes=1_000_000, drain_timeout_sec=30.0) as server:
        yield server


@pytest.fixture(scope="module")
def client(served) -> openai.OpenAI:
    return openai.OpenAI(base_url=served.url, api_key=KEY, max_retries=0, timeout=120)


def test_models(client):
    [model] = client.models.list().data
    assert model.id == "base"
    assert model.max_model_len == MAX_TOKENS
    assert client.models.retrieve("base").id == "base"


def test_chat(client):
    reply = client.chat.completions.create(model="base", messages=CHAT, max_tokens=8, temperature=0)
    assert reply.choices[0].message.content
    assert reply.usage is not None
    assert reply.usage.completion_tokens <= 8


def test_completions_of_text_and_of_token_ids_are_the_same(client):
    from app.tokens import Tokenizer

    text = "The capital of France is"
    ids = Tokenizer("bundled:smollm2-135m-instruct").encode(text)
    replies = [
        client.completions.create(model="base", prompt=prompt, max_tokens=8, temperature=0)
        for prompt in (text, ids)
    ]
    assert [reply.usage.prompt_tokens for reply in replies] == [len(ids)] * 2
    assert replies[0].choices[0].text == replies[1].choices[0].text


def test_a_repeated_prompt_comes_out_of_the_cache(client):
    # Twice for each of two replicas, and a whole block of 128 tokens and more.
    prompt = [number % 1000 + 100 for number in range(400)]
    cached = []
    for _ in range(4):
        usage = client.completions.create(model="base", prompt=prompt, max_tokens=1).usage
        assert usage.prompt_tokens == 400
        cached.append(usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else 0)
    assert max(cached) >= 128


def test_streams_come_in_pieces_and_with_their_usage(client):
    stream = client.chat.completions.create(
        model="base",
        messages=[{"role": "user", "content": "Count from one to twenty."}],
        max_tokens=32,
        stream=True,
        stream_options={"include_usage": True},
    )
    pieces = list(stream)
    assert sum(bool(piece.choices and piece.choices[0].delta.content) for piece in pieces) > 4
    assert pieces[-1].usage.completion_tokens > 4


BAD: list[tuple[str, int, str, dict]] = [
    ("/completions", 400, "not JSON", {"content": b"{", "headers": JSON_TYPE}),
    ("/completions", 400, "not JSON", {"content": b"\xff", "headers": JSON_TYPE}),
    ("/completions", 400, "JSON object", {"json": ["base"]}),
    ("/completions", 404, "base", {"json": {"model": "other", "prompt": "x"}}),
    ("/completions", 415, "application/json", {"content": b"prompt=x"}),
    ("/completions", 413, "1000000", {"json": {"model": "base", "prompt": "x" * 1_000_001}}),
    ("/completions", 401, "API key", {"headers": {"authorization": "Bearer no"}, "json": {"model": "base"}}),
    ("/completions", 400, str(MAX_TOKENS), {"json": {"model": "base", "prompt": [100] * (MAX_TOKENS + 1)}}),
    ("/completions", 400, str(MAX_TOKENS), {"json": {"model": "base", "prompt": "long " * (MAX_TOKENS + 1)}}),
    ("/completions", 400, "", {"json": {"model": "base", "prompt": [100] * 2000, "max_tokens": 100}}),
    ("/completions", 400, "vocab", {"json": {"model": "base", "prompt": [10**6]}}),
    ("/completions", 400, "", {"json": {"model": "base", "prompt": [-1]}}),
    ("/completions", 400, "", {"json": {"model": "base", "prompt": []}}),
    ("/completions", 400, "", {"json": {"model": "base", "prompt": {"text": "x"}}}),
    ("/completions", 400, "", {"json": {"model": "base"}}),
    ("/completions", 400, "temperature", {"json": {"model": "base", "prompt": "x", "temperature": -1}}),
    ("/completions", 400, "top_p", {"json": {"model": "base", "prompt": "x", "top_p": 7}}),
    ("/completions", 400, "max_tokens", {"json": {"model": "base", "prompt": "x", "max_tokens": "many"}}),
    ("/completions", 400, "logprobs", {"json": {"model": "base", "prompt": "x", "logprobs": 10**6}}),
    ("/completions", 400, "", {"json": {"model": "base", "prompt": "x", "n": 10**6}}),
    ("/completions", 400, "", {"json": {"model": "base", "prompt": "x", "logit_bias": {"999999": 1}}}),
    ("/chat/completions", 400, "messages", {"json": {"model": "base", "messages": "hello"}}),
    ("/chat/completions", 400, "", {"json": {"model": "base", "messages": [{"role": 3}]}}),
    (
        "/chat/completions",
        400,
        "",
        {"json": {"model": "base", "messages": CHAT, "response_format": {"type": "json_schema"}}},
    ),
    (
        "/chat/completions",
        400,
        "",
        {"json": {"model": "base", "messages": CHAT, "structured_outputs": {"regex": "("}}},
    ),
    ("/chat/completions", 400, str(MAX_TOKENS), {"json": {"model": "base", "messages": LONG_CHAT, "stream": True}}),
    ("/embeddings", 404, "/v1/completions", {"json": {"model": "base", "input": "x"}}),
]  # fmt: skip


def test_bad_requests_are_refused_in_openai_s_shape_and_the_engine_survives_each(served, client):
    assert len(BAD) >= 20
    before = {process.pid for process in served.replicas("model-0-base")}
    assert len(before) == 2
    wrong = []
    for path, status, part, options in BAD:
        response = served.post(path, **options)
        shown = json.dumps(options.get("json", ""))[:100]
        error = response.json().get("error", {}) if response.status_code != 200 else {}
        if response.status_code != status or part not in error.get("message", ""):
            wrong.append((path, shown, response.status_code, response.text[:300]))
        elif set(error) != {"message", "type", "param", "code"}:
            wrong.append((path, shown, "shape", response.text[:300]))
    assert wrong == []
    # Each replica, not only the luckier one.
    for _ in range(4):
        assert client.completions.create(model="base", prompt="x", max_tokens=1).choices
    assert {process.pid for process in served.replicas("model-0-base")} == before


def test_500_bad_requests_are_no_fault_of_the_server_s_and_kill_nothing(served, client):
    cases = [*known_cases(), *made_cases()]
    assert len(cases) >= 500
    before = {process.pid for process in served.replicas("model-0-base")}
    assert ask_all(served.url.removesuffix("/v1"), KEY, cases) == []
    for _ in range(4):
        assert client.completions.create(model="base", prompt="x", max_tokens=1).choices
    assert {process.pid for process in served.replicas("model-0-base")} == before


def test_a_seed_does_not_kill_the_cpu_engine(served, client):
    # A prefill in several chunks of 512 tokens.
    prompt = [number % 5000 + 10 for number in range(1500)]
    for seed in (1, 2):
        reply = client.completions.create(
            model="base", prompt=prompt, max_tokens=2, temperature=1.0, seed=seed
        )
        assert reply.usage.completion_tokens > 0


def test_metrics_need_the_key_and_count_requests_and_engines(served):
    assert served.get("/metrics").status_code == 401
    text = served.get("/metrics", headers=served.headers).text
    assert 'longstrap_requests_total{model="base",status="200"}' in text
    assert "longstrap_requests_queued" in text
    deadline = time.monotonic() + 30
    while "ray_vllm" not in text and time.monotonic() < deadline:
        # Ray exports every ten seconds or so.
        time.sleep(2)
        text = served.get("/metrics", headers=served.headers).text
    assert "ray_vllm" in text


def test_a_client_that_goes_stops_its_request(served, client):
    stream = client.completions.create(model="base", prompt="Once", max_tokens=1500, stream=True)
    next(iter(stream))
    in_flight = 'longstrap_requests_in_flight{model="base"} '
    assert f"{in_flight}1.0" in served.get("/metrics", headers=served.headers).text
    stream.close()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        text = served.get("/metrics", headers=served.headers).text
        if f"{in_flight}0.0" in text:
            return
        time.sleep(0.5)
    raise AssertionError("the request goes on without its client")


def test_200_requests_and_a_replica_that_is_killed_between_them(served):
    async def ask(client, number) -> str:
        # The first ones are still under way when the replica is killed: short ones end together, and between two
        # batches there is a moment without any.
        is_long = number < NUM_LONG
        text = f"Write a long story with {number} chapters." if is_long else f"Say {number}."
        prompt = [{"role": "user", "content": text}]
        try:
            reply = await client.chat.completions.create(
                model="base", messages=prompt, max_tokens=400 if is_long else 8
            )
        except openai.APIStatusError as error:
            return (
                f"{error.status_code}" if "message" in (error.body or ()) else f"{error.status_code} unclear"
            )
        finally:
            ended.append(number)
        assert reply.choices[0].finish_reason in ("stop", "length")
        return "answered"

    async def run() -> Counter[str]:
        async with openai.AsyncOpenAI(base_url=served.url, api_key=KEY, max_retries=0, timeout=500) as client:
            asking = [asyncio.create_task(ask(client, number)) for number in range(NUM_REQUESTS)]
            while len(ended) < NUM_BEFORE_THE_KILL:
                await asyncio.sleep(0.05)
            served.replicas("model-0-base")[0].kill()
            return Counter(await asyncio.gather(*asking))

    ended: list[int] = []
    outcomes = asyncio.run(run())
    assert outcomes.total() == NUM_REQUESTS == len(ended)
    assert set(outcomes) <= {"answered", "503", "429"}
    # At most what one replica works on is lost with it.
    assert outcomes["503"] <= 16
    assert outcomes["answered"] >= NUM_REQUESTS - 16 - outcomes["429"]
    assert outcomes["503"] >= 1


def test_a_full_queue_is_refused_with_its_limit(served):
    async def run() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=400)
        async with httpx.AsyncClient(timeout=500, limits=limits, headers=served.headers) as client:
            body = {"model": "base", "prompt": "Once upon a time", "max_tokens": 4}
            return await asyncio.gather(
                *(client.post(f"{served.url}/completions", json=body) for _ in range(240))
            )

    responses = asyncio.run(run())
    statuses = Counter(response.status_code for response in responses)
    assert set(statuses) == {200, 429}
    refused = next(response for response in responses if response.status_code == 429)
    assert "max_queued_requests 180" in refused.json()["error"]["message"]
    assert refused.headers["retry-after"]


def test_sigterm_lets_requests_end_and_refuses_new_ones(served):
    """The last one: it ends the server."""
    children = psutil.Process(served.process.pid).children(recursive=True)
    begun, pieces = threading.Event(), []

    def stream() -> None:
        body = {"model": "base", "prompt": "Once", "max_tokens": 60, "ignore_eos": True, "stream": True}
        with httpx.stream(
            "POST", f"{served.url}/completions", json=body, headers=served.headers, timeout=60
        ) as response:
            for line in response.iter_lines():
                pieces.append(line)
                begun.set()

    streaming = threading.Thread(target=stream)
    streaming.start()
    assert begun.wait(30)
    served.process.terminate()
    deadline = time.monotonic() + 10
    while (refused := served.get("/health")).status_code == 200 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert refused.status_code == 503
    assert served.post("/completions", json={"model": "base", "prompt": "x"}).status_code == 503
    streaming.join(30)
    assert pieces[-2:] == ["data: [DONE]", ""]
    assert served.process.wait(STOP_SEC) == 0
    assert "stopped: " in served.log.read_text()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []


def test_the_key_is_in_no_log(served):
    logs = [served.log, *(path for path in served.log_folder.rglob("*") if path.is_file())]
    assert len(logs) > 10
    assert [path for path in logs if KEY.encode() in path.read_bytes()] == []
