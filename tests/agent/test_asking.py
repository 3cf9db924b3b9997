import asyncio
from dataclasses import replace

import pytest

from app.agent.asking import StepFailedError, ask
from app.agent.llm import FILLING_PRIORITY, FIRST_PRIORITY, LlmCall, LlmError
from app.agent.parsing import MalformedReplyError

CALL = LlmCall("answer", ({"role": "user", "content": "hi"},), max_output_tokens=8, random_seed=2**31 - 1)


def parse(reply):
    if reply.text == "bad":
        raise MalformedReplyError("is bad")
    return reply.text


def test_malformed_and_failed_replies_are_tried_again_with_other_seeds(scripted):
    generate = scripted({"answer": ["bad", LlmError("timed out"), "good"]})
    assert asyncio.run(ask(generate, CALL, parse, max_attempts=3)) == "good"
    seeds = [call.random_seed for call in generate.calls]
    assert len(set(seeds)) == 3
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_last_reason_is_the_rejects_reason(scripted):
    generate = scripted({"answer": [LlmError("timed out"), "bad"]})
    with pytest.raises(StepFailedError) as failure:
        asyncio.run(ask(generate, CALL, parse, max_attempts=2))
    assert (failure.value.step, failure.value.reason, failure.value.detail) == ("answer", "is bad", "bad")
    assert len(generate.calls) == 2


def test_other_errors_are_nobodys_to_swallow(scripted):
    generate = scripted({"answer": [RuntimeError("engine gone")]})
    with pytest.raises(RuntimeError, match="engine gone"):
        asyncio.run(ask(generate, CALL, parse, max_attempts=3))


def test_what_is_asked_again_goes_before_what_fills_the_engine(scripted):
    generate = scripted({"answer": ["bad", "good"]})
    asyncio.run(ask(generate, replace(CALL, priority=FILLING_PRIORITY), parse, max_attempts=2))
    assert [call.priority for call in generate.calls] == [FILLING_PRIORITY, FIRST_PRIORITY]
    assert generate.calls[0].key == CALL.key


def test_a_reply_that_no_parser_foresaw_is_asked_again_and_then_named(scripted):
    def fails(reply):
        if reply.text == "odd":
            raise IndexError
        return reply.text

    assert asyncio.run(ask(scripted({"answer": ["odd", "good"]}), CALL, fails, max_attempts=2)) == "good"
    with pytest.raises(StepFailedError) as failure:
        asyncio.run(ask(scripted({"answer": ["odd"]}), CALL, fails, max_attempts=1))
    assert (failure.value.reason, failure.value.detail) == ("unreadable reply (IndexError)", "odd")


def test_thoughts_are_no_part_of_the_reply(scripted):
    generate = scripted({"answer": ["<think>never ends", "<think>short</think> good"]})
    assert asyncio.run(ask(generate, CALL, parse, max_attempts=2)) == "good"


def test_the_endpoints_words_are_the_rejects_detail(scripted):
    generate = scripted({"answer": [LlmError("refused with HTTP 400", "no whales")]})
    with pytest.raises(StepFailedError) as failure:
        asyncio.run(ask(generate, CALL, parse, max_attempts=1))
    assert (failure.value.reason, failure.value.detail) == ("refused with HTTP 400", "no whales")
