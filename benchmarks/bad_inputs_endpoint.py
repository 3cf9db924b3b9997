"""Bad replies: an HTTP server on loopback gives them to the project's own client, which must know whose fault each is."""
# ruff: noqa: E501

import asyncio
import gzip
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from app.agent.asking import ask
from app.agent.llm import LlmCall, LlmReply
from app.agent.openai_generator import OpenAiGenerator
from app.agent.parsing import parse_answer, parse_instruction, parse_selection, parse_summary
from app.config import OpenAiConfig
from app.endpoints.client import EndpointClient, EndpointFields
from app.schema import Message
from benchmarks.bad_inputs_judging import Case, Line, Record
from benchmarks.bad_inputs_server import Answer, BadServer, chat

KEY_VARIABLE = "BAD_INPUTS_KEY"
FIELDS = EndpointFields("base_url", "model", "api_key_env", KEY_VARIABLE, "timeout_sec")
REQUEST = {"model": "m", "messages": [{"role": "user", "content": "A long question."}], "max_tokens": 8}
TIMEOUT_SEC = 20.0
SHORT_TIMEOUT_SEC = 0.5
SUBJECT = "The harbour of Nantucket stored copper ore from Falmouth in 1842."
GOOD_INSTRUCTION = "Compare how the harbour of Nantucket stored copper ore from Falmouth."


def endpoint_cases(server: BadServer, shared: Path | None) -> Iterator[Case]:
    """All cases of replies.

    Args:
        server: Gives them.
        shared: Kept inputs, where there are any.
    """
    os.environ[KEY_VARIABLE] = "sk-bad-inputs"
    for name, answer, expected in [*_refused_always(), *_broken()]:
        yield Case(name, _asking(server, answer), expected)
    for name, answer, expected in _refused_once():
        yield Case(name, _asking(server, answer, is_well_otherwise=True), expected)
    for body, expected in _bodies():
        yield Case(f"reply {json.dumps(body)[:60]}", _asking(server, Answer(body)), expected)
    for kind, reply, expected in _texts():
        yield Case(f"{kind} {reply!r:.50}", _reading(server, kind, Answer(chat(*_content(reply)))), expected)
    if shared is not None:
        yield from _kept(server, shared)


def _refused_always() -> Iterator[tuple[str, Answer, Any]]:
    fields = {401: "api_key_env: ", 403: "api_key_env: ", 404: "model: "}
    bodies: list[Any] = [
        {"error": {"message": "no\nsuch\nthing"}}, {"detail": ["x"]}, b"<html>\n<h1>Bad</h1>\n</html>", b"", b"\xff\xfe\n", b"[" * 50_000,
        {"error": "\u001b[31m no"}, {"error": {"message": "x" * 100_000}},
    ]  # fmt: skip
    for status in (400, 401, 402, 403, 404, 405, 410, 413, 415, 422, 429, 451, 500, 501, 502, 503, 504, 529):
        for body in bodies[: 8 if status in (400, 401, 404, 429, 503) else 3]:
            expected = Line(fields.get(status, "base_url: "))
            yield f"always HTTP {status} {body!r:.30}", Answer(body, status), expected
    for code in ("insufficient_quota", "billing_hard_limit_reached"):
        yield f"always 429 {code}", Answer({"error": {"code": code, "message": "m"}}, 429), Line("base_url: ")
    for pause in ("-1", "x", "86400", "9" * 400, "nan", "inf", "Wed, 21 Oct 2099 07:28:00 GMT", ""):
        yield f"always 429, wait {pause[:30]}", Answer({}, 429, {"Retry-After": pause}), Line("base_url: ")
    for place in ("/v1/chat/completions", "http://127.0.0.1:1/", "", "file:///etc/passwd"):
        yield f"moved to {place!r}", Answer(b"", 301, {"Location": place}), Line("base_url: ")


def _refused_once() -> Iterator[tuple[str, Answer, Any]]:
    for status in (400, 413, 414, 415, 418, 422, 424, 431, 451, 500):
        for body in ({"error": {"message": "too long"}}, b"<html>", b""):
            refused = Record(f"refused with HTTP {status}")
            yield f"this one HTTP {status} {body!r:.20}", Answer(body, status), refused


def _broken() -> Iterator[tuple[str, Answer, Any]]:
    away, no_json = Line("base_url: "), Record("reply that is no JSON")
    good = json.dumps(chat()).encode()
    raws = {
        "nothing": b"", "no HTTP": b"hello\n", "half a head": b"HTTP/1.1 200 OK\r\nContent-Le", "a body cut": b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{",
        "a chunk cut": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{", "a bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "SMTP": b"220 mail ESMTP\r\n", "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
    }  # fmt: skip
    for name, raw in raws.items():
        yield f"connection: {name}", Answer(None, raw=raw), away
    yield "late", Answer(chat(), delay_sec=2 * SHORT_TIMEOUT_SEC), Record("timed out")
    packed = Answer(gzip.compress(good), headers={"Content-Encoding": "gzip"})
    yield "packed", packed, "hi"
    yield "no gzip", Answer(good, headers={"Content-Encoding": "gzip"}), away
    yield "gzip cut", Answer(gzip.compress(good)[:-12], headers={"Content-Encoding": "gzip"}), no_json
    yield "another type", Answer(good, headers={"Content-Type": "text/html"}), "hi"


def _bodies() -> Iterator[tuple[Any, Any]]:
    no_choice, shape = Record("endpoint sent no choice or no usage"), Record("reply of an unknown shape")
    body: Any
    reason: Any
    for body in ({}, chat(choices=[]), chat(choices=None), chat(usage=None), {"choices": [{}]}):
        yield body, no_choice
    yield chat() | {"error": {"message": "overloaded"}}, Record("error in place of a reply")
    for body in (chat(5), chat({"a": 1}), chat([{"type": "image_url"}]), chat([5]), chat(choices=[None]), chat(choices=[{}]), chat(choices=7), chat(choices=[7]),
                 chat(usage={"prompt_tokens": "x", "completion_tokens": 1}), chat(usage={}), chat(usage=[]), chat(choices={"0": {}}), chat(True), chat([{"type": "text"}]),
                 chat(usage={"prompt_tokens": -1, "completion_tokens": 2}), chat(usage={"prompt_tokens": 1, "completion_tokens": 1e400})):  # fmt: skip
        yield body, shape
    for content, text in ((None, ""), ("", ""), ([], ""), ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"), ("\ud83d", "?"), ("a\x00b", "a\x00b")):  # fmt: skip
        yield chat(content), text
    for reason in (
        None,
        "",
        "tool_calls",
        "content_filter",
        "abort",
        "error",
        "function_call",
        "STOP",
        5,
        [],
        {},
    ):
        yield chat(finish_reason=reason), Record(f"finish reason {reason}")
    for reason in ("stop", "eos", "end_turn", "length", "max_tokens"):
        yield chat(finish_reason=reason), "hi"
    yield chat(extra={"deep": [[[]]]}, choices=[chat()["choices"][0]] * 2), "hi"


def _texts() -> Iterator[tuple[str, Any, Any]]:
    """Kind of a step, what the model says (with a cut: a pair), and what the step must make of it."""
    selection = '{"notes": [2, 1, 2]}'
    for reply in (
        selection,
        f"```json\n{selection}\n```",
        f" {selection}\n",
        f"<think>[1]</think>{selection}",
    ):
        yield "selection", reply, [0, 1]
    for reason, replies in {
        "not JSON": ["", "[", "[" * 20_000, "1, 2", "{'notes': [1]}", "Notes 1 and 2.", '{"notes": [1]', "{" * 9000, '{"notes": [1]} ok', "9" * 5000],
        "JSON without notes": ["[1]", "null", "1", '{"Notes": [1]}', "{}", '"a"', "NaN"],
        "selection is no list of numbers": ['{"notes": 1}', '{"notes": ["1"]}', '{"notes": [1.0]}', '{"notes": [true]}', '{"notes": null}', '{"notes": [NaN]}', '{"notes": [[1]]}'],
        "selection is empty": ['{"notes": []}'],
        "selection names no such note": ['{"notes": [0]}', '{"notes": [4]}', '{"notes": [-1]}', '{"notes": [1, 99999999999999999999]}'],
        "thoughts without an answer": ["<think>I choose 1", "<think>"],
    }.items():  # fmt: skip
        for reply in replies:
            yield "selection", reply, Record(reason)
    for reply in (
        GOOD_INSTRUCTION, f'"{GOOD_INSTRUCTION}"', f"<think>Hm.</think>\n{GOOD_INSTRUCTION}", f"**{GOOD_INSTRUCTION}**", f"{GOOD_INSTRUCTION}\n\nMore of it.", f"  {GOOD_INSTRUCTION} \n",
    ):  # fmt: skip
        yield "instruction", reply, GOOD_INSTRUCTION
    for reason, replies in {
        "empty reply": ["", "  ", "\n\n"],
        "instruction too short": ["Compare ores.", "\u2026", "```", "a b c d", "\U0001f600" * 3, "\x00 \x00"],
        "instruction off its subject": ["Explain at length how a modern bicycle is built.", "I am sorry, but I cannot help with that request."],
        "instruction repeats itself": [f"{GOOD_INSTRUCTION} {GOOD_INSTRUCTION}"],
        "instruction refers to a text": ["Summarize how the text above says that Nantucket stored copper ore."],
        "thoughts without an answer": [f"<think>{GOOD_INSTRUCTION}"],
    }.items():  # fmt: skip
        for reply in replies:
            yield "instruction", reply, Record(reason)
    yield "instruction", ("Compare how the harbour of", "length"), Record("cut before a sentence ended")
    yield "answer", "It stored ore.", "It stored ore."
    yield "answer", "**Answer:** It stored ore.", "It stored ore."
    yield "answer", "<think>a</think>It stored ore.", "It stored ore."
    yield "answer", ("It stored ore. Then the", "length"), "It stored ore."
    yield "answer", ("\u6e2f\u53e3\u50a8\u5b58\u3002\u7136\u540e", "length"), "\u6e2f\u53e3\u50a8\u5b58\u3002"
    yield "answer", ("It stored ore", "length"), Record("cut before a sentence ended")
    yield "answer", "", Record("empty reply")
    yield "answer", "Answer:", Record("empty reply")
    yield "answer", "As note 1 says, it stored ore.", Record("answer speaks of its notes")
    yield "summary", "", Record("empty reply")
    yield "summary", "It stored ore.", "It stored ore."


def _content(reply: Any) -> tuple[Any, ...]:
    return reply if isinstance(reply, tuple) else (reply,)


def _kept(server: BadServer, shared: Path) -> Iterator[Case]:
    source = (shared / "cases" / "input" / "_tools" / "endpoint.py").read_text("utf-8")
    known: dict[str, Any] = {}
    exec(compile(source.rpartition("\nmain()")[0], "endpoint.py", "exec"), known)
    for name in ("credit402", "gone410", "refuse400", "rate429", "outage503"):
        status, headers, body, *_ = known["fault"](name, "answer", "", "")
        yield Case(f"kept: {name}", _asking(server, Answer(body, status, headers)), Line("base_url: "))
    for name, expected in (("deep_json", Record("not JSON")), ("fence", [0])):
        content = known["fault"](name, "selection", "", "")[3]
        yield Case(f"kept: {name}", _reading(server, "selection", Answer(chat(content))), expected)
    content = known["fault"]("think", "answer", "It stored ore.", "")[3]
    yield Case(f"kept: {name}", _reading(server, "answer", Answer(chat(content))), "It stored ore.")


def _asking(server: BadServer, answer: Answer, is_well_otherwise: bool = False) -> Callable[[], Any]:
    def attempt() -> str:
        server.answer, server.is_well_otherwise = answer, is_well_otherwise
        return asyncio.run(ask_once())

    async def ask_once() -> str:
        timeout_sec = SHORT_TIMEOUT_SEC if answer.delay_sec else TIMEOUT_SEC
        client = EndpointClient(FIELDS, server.url, "sk-bad-inputs", timeout_sec, 0)
        try:
            return (await client.ask("chat", REQUEST)).text
        finally:
            await client.close()

    return attempt


def _parse(kind: str, reply: LlmReply) -> Any:
    was_cut = reply.finish_reason == "length"
    if kind == "selection":
        return parse_selection(reply.text, [{"a"}, {"b"}, {"c"}])
    if kind == "instruction":
        return parse_instruction(reply.text, was_cut, SUBJECT, "Compare how")
    return (parse_summary if kind == "summary" else parse_answer)(reply.text, was_cut)


def _reading(server: BadServer, kind: str, answer: Answer) -> Callable[[], Any]:
    call = LlmCall(kind, (Message(role="user", content="A long question."),), 8, 1)

    async def ask_once() -> Any:
        config = OpenAiConfig(
            model="m", base_url=server.url, api_key_env=KEY_VARIABLE, num_retries=0, tokenizer="t"
        )
        generator = OpenAiGenerator(config)
        try:
            return await ask(generator, call, lambda reply: _parse(kind, reply), 2)
        finally:
            await generator.close()

    def attempt() -> Any:
        server.answer, server.is_well_otherwise = answer, True
        return asyncio.run(ask_once())

    return attempt
