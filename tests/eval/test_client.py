import asyncio

import numpy as np
import pytest

from app.config import EvaluateConfig
from app.endpoints import client as client_module
from app.endpoints.replies import RequestError
from app.faults import UserError
from eval.client import EvaluationClient
from eval.samples import Sample
from tests.eval.completions_double import Answer, CompletionsDouble

SAMPLE = Sample("t-64-00000", "t", 64, np.arange(20, dtype=np.int32), 8, ["yes"])


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(client_module, "FIRST_PAUSE_SEC", 0.01)


def ask(url, key=None, messages=None, **settings):
    async def once():
        client = EvaluationClient(EvaluateConfig(**settings), url, key, "m")
        try:
            return await client.ask(SAMPLE, messages)
        finally:
            await client.close()

    return asyncio.run(once())


def test_tokens_are_sent_and_counted():
    with CompletionsDouble(lambda body: Answer(" 42", num_cached_tokens=16)) as endpoint:
        reply = ask(endpoint.url, key="secret")
    assert (reply.text, reply.num_prompt_tokens, reply.num_output_tokens) == (" 42", 20, 2)
    assert reply.num_cached_tokens == 16
    assert endpoint.keys == ["Bearer secret"]
    body = endpoint.asked[0]
    assert body["prompt"] == list(range(20))
    assert (body["max_tokens"], body["temperature"], body["model"]) == (8, 0.0, "m")


def test_a_chat_is_sent_to_endpoints_that_take_nothing_else():
    with CompletionsDouble() as endpoint:
        assert ask(endpoint.url, messages=[{"role": "user", "content": "a b"}]).text == "yes"
    assert "prompt" not in endpoint.asked[0]


def test_a_prompt_that_is_refused_fails_alone_with_the_endpoints_reason():
    def script(body):
        return Answer(status=400, message="at most 16 tokens") if len(body["prompt"]) > 16 else Answer()

    fault = r"HTTP 400: at most 16 tokens"
    with CompletionsDouble(script) as endpoint, pytest.raises(RequestError, match=fault):
        ask(endpoint.url)


def test_a_late_answer_is_not_asked_for_twice():
    with (
        CompletionsDouble(lambda body: Answer(delay_sec=0.5)) as endpoint,
        pytest.raises(RequestError, match=r"no answer in 0.1 s; raise evaluate.request_timeout_sec"),
    ):
        ask(endpoint.url, request_timeout_sec=0.1)
    assert len(endpoint.asked) == 1


def test_an_endpoint_that_stays_away_ends_the_evaluation():
    with pytest.raises(
        UserError, match=r"evaluate.url: .*does not answer .*2 times.*the same command resumes"
    ):
        ask("http://127.0.0.1:1/v1", num_retries=1)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (Answer(status=401), "evaluate.api_key_env: .* refuses the key in LONGSTRAP_API_KEY"),
        (Answer(status=404), "does not serve 'm'"),
        (Answer(num_prompt_tokens=21), "read 21 tokens although 20 were sent"),
    ],
)
def test_what_no_sample_can_get_past_stops_everything(answer, fault):
    with CompletionsDouble(lambda body: answer) as endpoint, pytest.raises(UserError, match=fault) as raised:
        ask(endpoint.url, key="secret")
    assert "secret" not in str(raised.value)
    assert len(endpoint.asked) == 1
