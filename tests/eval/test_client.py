import asyncio
from dataclasses import replace

import numpy as np
import pytest

from app.config import EvaluateConfig, EvaluateSamplingConfig
from app.endpoints import client as client_module
from app.endpoints.replies import RequestError
from app.faults import UserError
from eval.client import EvaluationClient
from eval.samples import Sample
from tests.eval.completions_double import Answer, CompletionsDouble

SAMPLE = Sample("t-64-00000", "t", 64, np.arange(20, dtype=np.int32), 8, ["yes"])

CHAT = replace(SAMPLE, content="Is it? ", answer_prefix=" It is")


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(client_module, "FIRST_PAUSE_SEC", 0.01)


def ask(url, key=None, sample=SAMPLE, way=None, **settings):
    async def once():
        client = EvaluationClient(EvaluateConfig(**settings), url, key, "m", way)
        try:
            return await client.ask(sample)
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
        assert ask(endpoint.url, sample=CHAT, way="none", api="chat").text == "yes"
    assert "prompt" not in endpoint.asked[0]
    assert endpoint.asked[0]["messages"] == [{"role": "user", "content": "Is it? "}]


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


@pytest.mark.parametrize(
    ("way", "message", "extra"),
    [
        (
            "continue",
            {"role": "assistant", "content": " It is"},
            {"continue_final_message": True, "add_generation_prompt": False},
        ),
        ("flag", {"role": "assistant", "content": " It is", "prefix": True}, {}),
    ],
)
def test_a_chat_begins_the_reply_in_the_way_that_the_endpoint_takes(way, message, extra):
    with CompletionsDouble(lambda body: Answer("It is yes")) as endpoint:
        reply = ask(endpoint.url, sample=CHAT, way=way, api="chat")
    body = endpoint.asked[0]
    assert body["messages"][1] == message
    assert {name: body[name] for name in extra} == extra
    assert ("continue_final_message" in body) == bool(extra)
    # The start that was given is not the model's own.
    assert reply.text == " yes"


def test_a_server_that_cuts_chats_is_refused():
    long = replace(CHAT, token_ids=np.arange(4000, dtype=np.int32))
    with (
        CompletionsDouble(lambda body: Answer(num_prompt_tokens=2048)) as endpoint,
        pytest.raises(UserError, match=r"evaluate.url: .* read 2,048 tokens of a chat that has about 4,000"),
    ):
        ask(endpoint.url, sample=long, way="none", api="chat")


def test_a_chat_may_have_fewer_tokens_by_the_endpoints_own_count():
    long = replace(CHAT, token_ids=np.arange(4000, dtype=np.int32))
    with CompletionsDouble(lambda body: Answer(num_prompt_tokens=3700)) as endpoint:
        assert ask(endpoint.url, sample=long, way="none", api="chat").text == "yes"


def test_sampling_and_a_thinking_budget_are_sent():
    sampling = EvaluateSamplingConfig(
        temperature=None,
        top_p=0.9,
        thinking_tokens=100,
        max_tokens_name="max_completion_tokens",
        template_arguments={"enable_thinking": True},
        extra_body={"top_k": 20},
    )
    with CompletionsDouble() as endpoint:
        reply = ask(endpoint.url, sample=CHAT, way="none", api="chat", sampling=sampling)
    body = endpoint.asked[0]
    assert body["max_completion_tokens"] == 108
    assert not {"temperature", "max_tokens"} & body.keys()
    assert (body["top_p"], body["top_k"]) == (0.9, 20)
    assert body["chat_template_kwargs"] == {"enable_thinking": True}
    assert (reply.limit_tokens, reply.thinking_tokens) == (108, 100)


@pytest.mark.parametrize(
    "answer",
    [
        Answer("<think>no, or\n7?</think>yes"),
        Answer("no, or\n7?</think>yes"),
        Answer("yes", message_fields={"reasoning_content": "no, or\n7?"}),
        Answer("yes", message_fields={"reasoning": "no, or\n7?"}),
    ],
)
def test_thought_is_kept_and_is_no_part_of_the_answer(answer):
    with CompletionsDouble(lambda body: answer) as endpoint:
        reply = ask(endpoint.url, sample=CHAT, way="none", api="chat")
    assert (reply.text, reply.thought) == ("yes", "no, or\n7?")


def test_a_name_that_completions_do_not_know_is_refused():
    with pytest.raises(ValueError, match="max_completion_tokens is a name in chat requests only"):
        EvaluateConfig(sampling=EvaluateSamplingConfig(max_tokens_name="max_completion_tokens"))
