"""What lm-eval's requests become at the endpoint, and what it gets back."""

from types import SimpleNamespace

import pytest

from app.config import EvaluateConfig, EvaluateSamplingConfig
from app.faults import UserError
from eval.short.language_model import EndpointLm
from eval.short.suite import remarks_of
from tests.eval.completions_double import Answer, CompletionsDouble
from tests.eval.prompt_tokenizers import byte_level, digit_groups


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return byte_level(tmp_path_factory.mktemp("tokenizer"))


def model(endpoint, tokenizer, **settings):
    return EndpointLm(EvaluateConfig(num_retries=0, **settings), "m", tokenizer, endpoint.url, None)


def request(*args):
    return SimpleNamespace(args=args)


def chat_of(lm, text):
    return lm.apply_chat_template([{"role": "user", "content": text}])


class Kept:
    def __init__(self):
        self.kept = {}

    def add_partial(self, kind, key, result):
        self.kept[kind, key[0]] = result


def test_prompts_are_the_templates_tokens_and_answers_are_kept_one_by_one(tokenizer):
    with CompletionsDouble(lambda body: Answer("<think>a</think>42")) as endpoint:
        lm = model(endpoint, tokenizer)
        lm.set_cache_hook(kept := Kept())
        prompt = chat_of(lm, "the ship?")
        assert lm.generate_until([request(prompt, {"until": ["\n"], "max_gen_toks": 7})]) == ["42"]
    [body] = endpoint.asked
    assert tokenizer.decode(body["prompt"]) == (
        "<|im_start|>user\nthe ship?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert (body["max_tokens"], body["temperature"], body["stop"]) == (7, 0.0, ["\n"])
    assert kept.kept == {("generate_until", prompt): "42"}


def test_chats_are_sent_as_messages_with_the_settings_of_all_suites(tokenizer):
    sampling = EvaluateSamplingConfig(
        temperature=None, max_tokens_name="max_completion_tokens", thinking_tokens=100
    )
    with CompletionsDouble(lambda body: Answer("42")) as endpoint:
        lm = model(endpoint, tokenizer, api="chat", sampling=sampling)
        lm.generate_until([request(chat_of(lm, "the ship?"), {"until": list("abcdef")})])
    [body] = endpoint.asked
    assert body["messages"] == [{"role": "user", "content": "the ship?"}]
    assert body["max_completion_tokens"] == 256 + 100
    assert "temperature" not in body
    assert len(body["stop"]) == 4


def test_a_base_prompt_begins_with_the_tokenizers_first_token(tmp_path):
    llama = digit_groups(tmp_path)
    with CompletionsDouble() as endpoint:
        lm = model(endpoint, llama, template="base")
        lm.generate_until([request("the ship", {})])
    assert endpoint.asked[0]["prompt"] == ([llama.leading_id] if llama.leading_id else []) + llama.encode(
        "the ship"
    )


def scored(body):
    """The continuation is the likeliest, except for its token 1."""
    tokens = body["prompt"]
    own = [None, *(-2.0 if token == 1 else -0.5 for token in tokens[1:]), -9.0]
    top = [None, *({"x": -0.5} for _ in tokens[1:]), {"x": -0.1}]
    logprobs = {
        "tokens": ["x"] * len(own),
        "token_logprobs": own,
        "top_logprobs": top,
        "text_offset": [0] * len(own),
    }
    usage = {"prompt_tokens": len(tokens), "completion_tokens": 1, "total_tokens": len(tokens) + 1}
    choice = {"index": 0, "text": "x", "finish_reason": "length", "logprobs": logprobs}
    return Answer(
        body={"id": "1", "object": "x", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    )


def test_log_probabilities_are_those_of_the_continuation_alone(tokenizer):
    with CompletionsDouble(scored) as endpoint:
        lm = model(endpoint, tokenizer)
        found = lm._loglikelihood_tokens([(("a", "b"), [5, 1, 6], [7, 8]), (("a", "c"), [5, 6], [7, 1])])
    assert found == [(-1.0, True), (-2.5, False)]
    assert (endpoint.asked[0]["echo"], endpoint.asked[0]["logprobs"]) == (True, 1)


def test_an_endpoint_without_log_probabilities_is_told(tokenizer):
    with (
        CompletionsDouble() as endpoint,
        pytest.raises(UserError, match=r"evaluate.short.tasks: .* gives no log probabilities of prompts"),
    ):
        model(endpoint, tokenizer)._loglikelihood_tokens([(("a", "b"), [5], [7])])


@pytest.mark.parametrize("body", [{"choices": []}, [], b"<html>"])
def test_replies_of_no_known_shape_end_in_a_line(tokenizer, body):
    with (
        CompletionsDouble(lambda asked: Answer(body=body)) as endpoint,
        pytest.raises(UserError, match=r"evaluate.short.tasks: .* does not answer a question") as raised,
    ):
        model(endpoint, tokenizer).generate_until([request("the ship", {})])
    assert "\n" not in str(raised.value)


def test_cut_and_empty_replies_are_counted(tokenizer):
    def script(body):
        return Answer("" if len(body["prompt"]) < 5 else "42", finish_reason="length")

    with CompletionsDouble(script) as endpoint:
        lm = model(endpoint, tokenizer, template="base")
        lm.generate_until([request("a", {}), request("the ship and the crew of the harbor at night", {})])
    assert remarks_of("facts", lm.outcomes) == [
        "facts: 1 of 2 replies were cut by the task's limit; they are scored as they are.",
        "facts: 1 of 2 replies held no answer.",
    ]
