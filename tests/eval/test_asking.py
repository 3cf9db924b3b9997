import numpy as np
import pytest

from app.config import EvaluateConfig, EvaluateSamplingConfig
from app.endpoints.models import EndpointModel
from eval.asking import describe_way, least_read_tokens, prefix_way, request_of, without_prefix
from eval.samples import Sample

SAMPLE = Sample(
    "t-64-00000", "t", 64, np.arange(20, dtype=np.int32), 8, ["yes"], content="Is it?", answer_prefix=" It is"
)


def settings(**changes):
    return EvaluateConfig(**changes)


@pytest.mark.parametrize(
    ("changes", "owner", "way"),
    [
        ({}, "vllm", None),
        ({"api": "chat"}, "vllm", "continue"),
        ({"api": "chat"}, "longstrap", "continue"),
        ({"api": "chat"}, "openai", "none"),
        ({"api": "chat", "sampling": EvaluateSamplingConfig(thinking_tokens=9)}, "vllm", "none"),
        ({"api": "chat", "answer_prefix": "flag"}, "vllm", "flag"),
    ],
)
def test_the_way_follows_the_setting_or_else_the_server(changes, owner, way):
    assert prefix_way(settings(**changes), EndpointModel("m", owner=owner)) == way


def test_completions_are_asked_with_the_tokens_and_greedy():
    api, arguments = request_of(settings(), "m", SAMPLE, None)
    assert api == "completions"
    assert arguments == {"model": "m", "max_tokens": 8, "temperature": 0.0, "prompt": list(range(20))}


def test_a_chat_has_the_question_alone_where_the_start_of_the_reply_is_not_sent():
    api, arguments = request_of(settings(api="chat"), "m", SAMPLE, "none")
    assert api == "chat"
    assert arguments["messages"] == [{"role": "user", "content": "Is it?"}]
    assert "extra_body" not in arguments


@pytest.mark.parametrize(
    ("text", "way", "kept"),
    [
        (" It is yes", "continue", " yes"),
        ("It is yes", "flag", " yes"),
        (" yes", "continue", " yes"),
        ("It is yes", "none", "It is yes"),
        ("It is yes", None, "It is yes"),
    ],
)
def test_a_start_that_the_endpoint_repeats_is_not_scored(text, way, kept):
    assert without_prefix(text, SAMPLE, way) == kept


def test_short_prompts_are_never_thought_to_be_cut():
    assert least_read_tokens(SAMPLE) <= 0


@pytest.mark.parametrize(
    ("way", "words"), [("none", "without"), ("flag", "prefix: true"), ("continue", "begun reply")]
)
def test_the_way_is_described(way, words):
    assert words in describe_way(way)
    assert describe_way(None) is None
