import asyncio

import pytest

from app.agent.llm import CannotScoreError, LlmCall, LlmError, Score, ScoreCall
from app.agent.openai_generator import OpenAiGenerator
from app.config import OpenAiConfig
from app.faults import UserError
from app.tokens import Tokenizer
from tests.eval.completions_double import Answer, CompletionsDouble
from tests.integration.endpoint_double import EndpointDouble

CALL = LlmCall(
    "selection",
    ({"role": "system", "content": 'JSON {"notes": []}'}, {"role": "user", "content": "Note 1: whales"}),
    max_output_tokens=8,
    random_seed=1,
    json_schema={"type": "object"},
)


def ask(base_url, call=CALL, **settings):
    config = OpenAiConfig(
        model="double", base_url=base_url, tokenizer="any", api_key_env="DOUBLE_KEY", **settings
    )

    async def once():
        generate = OpenAiGenerator(config)
        try:
            return await generate(call)
        finally:
            await generate.close()

    return asyncio.run(once())


def test_answers_with_text_and_token_counts(monkeypatch):
    monkeypatch.setenv("DOUBLE_KEY", "secret")
    with EndpointDouble() as endpoint:
        reply = ask(endpoint.base_url)
    assert reply.text == '{"notes": [1]}'
    assert (reply.finish_reason, reply.num_prompt_tokens, reply.num_output_tokens) == ("stop", 3, 8)


def test_opening_is_asked_for(monkeypatch):
    monkeypatch.setenv("DOUBLE_KEY", "secret")
    messages = ({"role": "system", "content": "s"}, {"role": "user", "content": "whales and ports"})
    with EndpointDouble() as endpoint:
        reply = ask(endpoint.base_url, LlmCall("instruction", messages, 8, 1, opening="Trace how"))
    assert reply.text.startswith("Trace how")


def test_late_answer_fails_the_call_alone(monkeypatch):
    monkeypatch.setenv("DOUBLE_KEY", "secret")
    with EndpointDouble(hangs=lambda user: True) as endpoint, pytest.raises(LlmError, match="timed out"):
        ask(endpoint.base_url, call_timeout_sec=0.2, num_retries=0)


def test_missing_key_is_named_before_any_call(monkeypatch):
    monkeypatch.delenv("DOUBLE_KEY", raising=False)
    with pytest.raises(UserError, match="DOUBLE_KEY is not set"):
        ask("http://127.0.0.1:1/v1")


def test_endpoint_that_is_away_stops_the_job_rather_than_reject_its_rows(monkeypatch):
    monkeypatch.setenv("DOUBLE_KEY", "secret")
    with pytest.raises(UserError, match=r"^generator.base_url: .*does not answer"):
        ask("http://127.0.0.1:1/v1", num_retries=0)


def test_a_refused_call_carries_the_endpoints_words(monkeypatch):
    monkeypatch.setenv("DOUBLE_KEY", "secret")

    def script(body):
        is_probe = body["messages"][-1]["content"] == "Say yes."
        return Answer() if is_probe else Answer(status=422, message="whales are not allowed")

    with CompletionsDouble(script) as endpoint, pytest.raises(LlmError) as raised:
        ask(endpoint.url)
    assert (str(raised.value), raised.value.detail) == ("refused with HTTP 422", "whales are not allowed")


@pytest.mark.parametrize("sends_seed", [True, False])
def test_a_seed_is_sent_only_to_endpoints_that_stand_it(monkeypatch, sends_seed):
    monkeypatch.setenv("DOUBLE_KEY", "secret")
    with CompletionsDouble() as endpoint:
        ask(endpoint.url, sends_seed=sends_seed)
    assert ("seed" in endpoint.asked[0]) is sends_seed


def test_a_key_with_a_line_break_inside_is_refused_and_not_shown(monkeypatch):
    monkeypatch.setenv("DOUBLE_KEY", "sk-abc\n1234")
    with pytest.raises(UserError, match=r"^generator.api_key_env: DOUBLE_KEY") as raised:
        ask("http://127.0.0.1:1/v1")
    assert "sk-abc" not in str(raised.value)


def test_a_thinking_model_gets_room_for_thoughts_and_its_templates_arguments(monkeypatch):
    monkeypatch.setenv("DOUBLE_KEY", "secret")
    with CompletionsDouble() as endpoint:
        ask(endpoint.url, thinking_tokens=1000, chat_template_args={"enable_thinking": True})
        ask(endpoint.url)
    thinking, plain = endpoint.asked
    assert (thinking["max_tokens"], plain["max_tokens"]) == (1008, 8)
    assert thinking["chat_template_kwargs"] == {"enable_thinking": True}
    assert "chat_template_kwargs" not in plain


SCORED = ScoreCall("verification", ({"role": "user", "content": "Who keeps bees?"},), "The captain does.")


def echo(body):
    """As vLLM answers: each token's own log probability, the first has none, and one token is generated."""
    if "messages" in body:
        return Answer()
    num_sent = len(body["prompt"])
    own = [None, *(-float(place) for place in range(1, num_sent)), -9.0]
    logprobs = {
        "tokens": ["x"] * (num_sent + 1),
        "text_offset": list(range(num_sent + 1)),
        "token_logprobs": own,
        "top_logprobs": [None if score is None else {"x": score} for score in own],
    }
    choice = {"index": 0, "text": "x", "finish_reason": "length", "logprobs": logprobs}
    usage = {"prompt_tokens": num_sent, "completion_tokens": 1, "total_tokens": num_sent + 1}
    return Answer(
        body={"id": "1", "object": "x", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    )


def score(script, num_times=1, monkeypatch=None):
    monkeypatch.setenv("DOUBLE_KEY", "secret")
    with CompletionsDouble(script) as endpoint:
        config = OpenAiConfig(
            model="double",
            base_url=endpoint.url,
            tokenizer="bundled:smollm2-135m-instruct",
            api_key_env="DOUBLE_KEY",
            num_retries=0,
        )

        async def ask_each():
            generate = OpenAiGenerator(config)
            try:
                found = await asyncio.gather(
                    *(generate.score(SCORED) for _ in range(num_times)), return_exceptions=True
                )
                return found, endpoint.asked
            finally:
                await generate.close()

        return asyncio.run(ask_each())


def test_a_reply_is_scored_by_the_log_probabilities_of_its_own_tokens(monkeypatch):
    (found,), (probe, asked) = score(echo, monkeypatch=monkeypatch)
    num_text = len(Tokenizer("bundled:smollm2-135m-instruct").encode(SCORED.text))
    num_sent = len(asked["prompt"])
    expected = -sum(range(num_sent - num_text, num_sent)) / num_text
    assert found == Score(pytest.approx(expected), num_text, num_sent)
    assert (asked["echo"], asked["logprobs"], len(probe["prompt"])) == (True, 1, 4)


@pytest.mark.parametrize(
    "script",
    [
        lambda body: Answer(status=404, message="no such path"),
        lambda body: Answer(status=400, message="echo is not supported"),
        lambda body: Answer(text="yes"),
    ],
    ids=["no completions", "no echo", "no log probabilities"],
)
def test_an_endpoint_that_cannot_score_is_asked_once_and_stops_nothing(monkeypatch, script):
    found, asked = score(script, num_times=3, monkeypatch=monkeypatch)
    assert [type(each) for each in found] == [CannotScoreError] * 3
    assert len(asked) == 1


def test_a_refused_key_stops_the_job_rather_than_leave_rows_unverified(monkeypatch):
    (found,), _ = score(lambda body: Answer(status=401, message="bad key"), monkeypatch=monkeypatch)
    assert isinstance(found, UserError)
    assert "DOUBLE_KEY" in str(found)
