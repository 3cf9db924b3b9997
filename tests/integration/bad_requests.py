"""Requests that such servers have met, most of them wrong: none may be answered with a fault of the server's."""

import asyncio
import gzip
import json
import os
import zlib
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

CHAT_PATH, PATH = "/v1/chat/completions", "/v1/completions"
MODEL = b'"model":"base"'
HI = [{"role": "user", "content": "hi"}]
NUM_MADE = 560
CONCURRENT = 8
ANSWER_SEC = 60
JSON_TYPE = {"content-type": "application/json"}


@dataclass(frozen=True)
class Case:
    """One request, with the key; `raw` are the bytes of one that no client would send."""

    name: str
    path: str = CHAT_PATH
    body: bytes = b""
    headers: dict[Any, Any] = field(default_factory=lambda: dict(JSON_TYPE))
    method: str = "POST"
    raw: bytes = b""


def in_chat(start: bytes, end: bytes = b"") -> bytes:
    return b'{%s,"messages":[{"role":"user","content":"hi"}],"max_tokens":4,%s%s}' % (MODEL, start, end)


BODIES = [
    *(b"", b"hello", b'{"model":"base","messages":[{"role"', b"[1]", b"null", b"5", b'"a"', bytes(10)),
    *(b"[" * 100_000, b'{"a":' * 100_000, b'{"model":"\xff\xfe","messages":[]}'),
    *(in_chat(b'"temperature":' + value) for value in (b"NaN", b"Infinity", b"1e999", b'"\xff\xfe"')),
    *(in_chat(b'"zzz":' + b"[" * deep + b"]" * deep) for deep in (190, 900, 5000)),
    *(in_chat(b'"metadata":{"a":' + b"[" * 190 + b"]" * 190 + b"}") for _ in range(1)),
    *(in_chat(b'"max_tokens":' + b"9" * digits) for digits in (400, 5000)),
    *(b'{%s,"messages":%s%s}' % (MODEL, b"[" * deep, b"]" * deep) for deep in (900, 5000)),
    *(b'{%s,"messages":[{"role":"user","content":"%s"}],"max_tokens":4}' % (MODEL, text)
      for text in (b"\xff\xfe\xfa", b"\\ud800", b"a\\u0000b")),
    *(b'{"model":"\\ud800","messages":[]}', b'{"model":"nope",%s,"messages":[],"max_tokens":-1}' % MODEL),
    *(json.dumps({"model": "base", "messages": HI, "max_tokens": 4}).encode(code) for code in ("utf-16", "utf-8-sig")),
]  # fmt: skip
MODELS: list[Any] = [
    *(None, 5, ["base"], {"a": 1}, "", "../../etc/passwd", "a" * 100_000, "x\r\nSet-Cookie: a=b", "<script>"),
]
CALL = {"id": "a", "type": "function"}
CONTENTS: list[Any] = [
        5, {"a": 1}, None, "", "word " * 30_000, [{"type": "wat"}], [{"text": "a"}], [5], [{}], [None], [[]],
        [{"type": "text", "text": None}], [{"type": "text"}], [{"type": None, "text": "a"}], [{"type": ["text"]}],
        [{"type": "image_url", "image_url": {"url": "http://127.0.0.1:1/x"}}], [{"type": "image_url"}],
        [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}],
        [{"type": "video_url", "video_url": {"url": "file:///etc/passwd"}}],
        [{"type": "file", "file": {"file_id": "x"}}],
        [{"type": "image_embeds", "image_embeds": "gASVCgAAAAAAAACMBG9z"}],
]  # fmt: skip
MESSAGES: list[Any] = [
    *(None, "hi", {"role": "user"}, [None], [[]], [5], ["a"], [], [{"content": "a"}], HI * 5000),
    *([{"role": role, "content": "a"}] for role in (None, 5, "wizard", "user<|im_end|>", "", "x" * 10_000)),
    *([{"role": "user", "content": content}] for content in CONTENTS),
    *([{"role": "user"}], [{"role": "assistant", "tool_calls": 5}], [{"role": "tool", "content": "a"}]),
    *([*HI, {"role": "assistant", "tool_calls": [CALL | {"function": {"name": "f", "arguments": arguments}}]}]
      for arguments in ("not json", None, "[1]", 5)),
]  # fmt: skip


def schema(value: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "a", "schema": value}}


CHAT_FIELDS: dict[str, list[Any]] = {
    "temperature": [-1, "hot", [1]], "top_p": [0, 2, -1], "top_k": [-5, "x"], "min_p": [5],
    "n": [0, -1, "x", 10**9, 10**6], "presence_penalty": [99], "frequency_penalty": [-99],
    "repetition_penalty": [-1, 0], "seed": ["x", 2**70, 3], "stop": [5, [1], [[]], ["s"] * 10_000, "s" * 100_000],
    "logit_bias": [{"x": 1}, {"-5": 1}, {"99999999": 1}, {"5": 1000}, {"49152": 1}, [1], 5],
    "stop_token_ids": [["x"], [-1], [10**20], [49152]], "bad_words": [5, [""]],
    "allowed_token_ids": [[], [-1], [10**9], [49152]], "min_tokens": [100, -1],
    "max_tokens": [2**63, 3.7, "many", [1], 0, -1], "truncate_prompt_tokens": [-5, 10**9],
    "logprobs": ["x"], "top_logprobs": [5, -5], "prompt_logprobs": [-3, 10**6], "priority": [5, 10**30],
    "stream": ["maybe"], "stream_options": [5],
    "response_format": [
        "x", {"type": "wat"}, {"type": "json_schema"}, schema(5), schema({"$ref": "#"}),
        schema({"type": "object", "properties": {"a": {"$ref": "#/nope"}}}),
        schema({"$ref": "http://127.0.0.1:1/x.json"}),
    ],
    "structured_outputs": [
        {"regex": "("}, {"regex": "(a+)+$"}, {"grammar": "root ::= "}, {"choice": []}, {"json": "{"},
        {"regex": "a", "choice": ["b"]}, {"regex": "(x{1000}){1000}"}, 5, {"grammar": "root ::= root"},
    ],
    "guided_json": [{"type": "wat"}], "tools": ["x", [5], [{}], []], "functions": [[{"name": "a"}]],
    "tool_choice": ["x", {"type": "function"}, "required"],
    "chat_template": ["{{ cycler.__init__.__globals__.os.popen('id').read() }}", "{{", "{% for i in range(10**9) %}x"],
    "chat_template_kwargs": [5, {"chat_template": "{{1}}"}, {"messages": []}], "mm_processor_kwargs": [{"a": 1}],
    "documents": [5], "continue_final_message": [True], "add_generation_prompt": ["x"],
    "kv_transfer_params": [{"do_remote_decode": True, "remote_host": "127.0.0.1"}],
    "vllm_xargs": [{"a": {"b": 1}}, 5], "logits_processors": [["os.system"]], "cache_salt": ["", 5],
    "request_id": ["a\r\nb", 5], "return_token_ids": ["x"], "reasoning_effort": ["x"],
    "thinking_token_budget": [-4], "echo": ["x"], "service_tier": [5], "metadata": [5], "user": [5],
    "include_reasoning": ["x"], "repetition_detection": [{"max_pattern_size": -1}],
}  # fmt: skip
FIELDS: dict[str, list[Any]] = {
    "prompt": [
        None, 5, {}, [[]], [[1], ["a"]], [1, "a"], [1.5], [2**40], [True], "", [""], ["a"] * 3000, [49152], [-1],
        [[49152]], [49151, 49153], "word " * 30_000, [504] * 100_000, "\udfff",
    ],
    "prompt_embeds": ["AAAA", 5], "suffix": ["x"], "best_of": [0, 1000], "logprobs": [-5, 10**6], "echo": ["x"],
    "max_tokens": [0, -1, 10**9], "n": [10**6], "stream_options": [{"include_usage": "x"}],
    "use_beam_search": [True], "stop": ["\udfff"], "logprob_token_ids": [[49152]],
}  # fmt: skip
HEADERS: list[dict[Any, Any]] = [
    *({}, {"content-type": "text/plain"}, {"content-type": "application/x-www-form-urlencoded"}),
    *(
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "application/json; charset=utf-16"},
    ),
    *({b"content-type": b"application/json\xff"}, JSON_TYPE | {"x-request-id": "r" * 50_000}),
    *(JSON_TYPE | {b"x-request-id": b"\xff\xfe"}, JSON_TYPE | {b"serve_multiplexed_model_id": b"\xff"}),
    *(JSON_TYPE | {"serve_multiplexed_model_id": "../../x"}, JSON_TYPE | {"expect": "100-continue"}),
    *(JSON_TYPE | {"authorization": "Bearer a"}, JSON_TYPE | {b"authorization": b"Bearer \xff\xff"}),
    *(JSON_TYPE | {"x-a": "a" * 100_000}, JSON_TYPE | {f"x-{number}": "a" for number in range(1000)}),
    JSON_TYPE | {"upgrade": "h2c", "http2-settings": "AAMAAABkAARAAAAAAAIAAAAA"},
]
POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
RAW = [
    POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST + b"Content-Length: -5\r\n\r\n",
    POST + b"Content-Length: 1000000000000\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(100)) + b"\r\n\r\n",
    b"GET /v1/models HTTP/1.1\r\nConnection: close\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: x\r\nX-Request-Id: \xff\xfe\r\nConnection: close\r\n\r\n",
    b"FOO /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET /v1/models/" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
]


def known_cases() -> list[Case]:
    """Each of the lists above as requests."""
    chat, text = (
        {"model": "base", "messages": HI, "max_tokens": 4},
        {"model": "base", "prompt": "hi", "max_tokens": 4},
    )
    good = json.dumps(chat).encode()
    cases = [Case(f"body {body[:40]!r}", body=body) for body in BODIES]
    values = [(CHAT_PATH, chat, "model", MODELS), (CHAT_PATH, chat, "messages", MESSAGES)]
    values += [(CHAT_PATH, chat, name, each) for name, each in CHAT_FIELDS.items()]
    values += [(PATH, text, name, each) for name, each in FIELDS.items()]
    cases += [
        Case(f"{path} {name} {str(value)[:60]}", path, json.dumps(base | {name: value}).encode())
        for path, base, name, each in values
        for value in each
    ]
    cases += [Case(f"headers {str(headers)[:60]}", body=good, headers=headers) for headers in HEADERS]
    packed = {"gzip": gzip.compress(good), "deflate": zlib.compress(good), "br": good}
    cases += [
        Case(f"{kind} body", body=b, headers=JSON_TYPE | {"content-encoding": kind})
        for kind, b in packed.items()
    ]
    bomb = gzip.compress(b"[" * 50_000_000)
    cases.append(Case("bomb", body=bomb, headers=JSON_TYPE | {"content-encoding": "gzip"}))
    cases.append(Case("large body", body=b'{"a":"' + b"x" * 3_000_000 + b'"}'))
    cases += [Case(f"method {name}", method=name) for name in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS")]
    cases += [
        Case(f"path {path[:40]}", path, good, method=method)
        for method, path in [
            *(
                ("POST", "/v1/models"),
                ("POST", "/v1/nothing"),
                ("POST", CHAT_PATH + "/"),
                ("POST", "/" + CHAT_PATH),
            ),
            *(("GET", "/v1/models/..%2f..%2fetc%2fpasswd"), ("GET", "/v1/models/a%0d%0aSet-Cookie:%20x")),
            *(("GET", "/v1/models/%ff%fe"), ("POST", CHAT_PATH + "?api_key=x"), ("TRACE", "/v1/models")),
        ]
    ]
    return cases + [Case(f"raw {raw[:60]!r}", raw=raw) for raw in RAW]


def made_cases() -> list[Case]:
    """The same ones every time, of one to three fields with any JSON in them."""
    scalars = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-3, 5),
        st.integers(-(2**70), 2**70),
        st.floats(),
        st.text(max_size=20),
    )
    keys = st.sampled_from(["type", "json", "grammar", "regex", "name", "text", "role", "content", "0"])
    anything = st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=3),
        max_leaves=8,
    )
    # Not a list: the same one may come twice.
    made: dict[str, Case] = {}

    def fields(known: dict[str, list[Any]]) -> st.SearchStrategy[dict[str, Any]]:
        return st.dictionaries(st.sampled_from(sorted(known)), anything, min_size=1, max_size=3)

    @settings(
        max_examples=NUM_MADE,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.booleans(), fields(CHAT_FIELDS | {"messages": []}), fields(FIELDS | CHAT_FIELDS))
    def collect(is_chat: bool, chat: dict[str, Any], text: dict[str, Any]) -> None:
        body = (
            {"model": "base", "messages": HI} | chat if is_chat else {"model": "base", "prompt": "hi"} | text
        )
        if not isinstance(body.get("max_tokens"), str | list | dict):
            # A right number would take the engine's time.
            body["max_tokens"] = 4
        path = CHAT_PATH if is_chat else PATH
        shown = json.dumps(body)
        made[shown] = Case(f"made {path} {shown[:300]}", path, shown.encode())

    collect()
    return list(made.values())


def ask_all(url: str, key: str, cases: list[Case]) -> list[str]:
    """What is wrong with the answers, a few requests at once."""

    async def run() -> list[str]:
        gate = asyncio.Semaphore(CONCURRENT)
        async with httpx.AsyncClient(
            base_url=url, timeout=ANSWER_SEC, headers={"authorization": f"Bearer {key}"}
        ) as client:

            async def ask(case: Case) -> str | None:
                async with gate:
                    if case.raw:
                        return await _raw_fault(url, case)
                    try:
                        response = await client.request(
                            case.method, case.path, content=case.body, headers=case.headers
                        )
                    except httpx.TransportError as error:
                        return f"{case.name}: {error!r}"
                    return fault_in(case, response.status_code, response.content)

            return [fault for fault in await asyncio.gather(*map(ask, cases)) if fault]

    return asyncio.run(run())


async def _raw_fault(url: str, case: Case) -> str | None:
    """Of what no client sends; the HTTP server itself refuses some in plain text."""
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        writer.write(case.raw)
        answer = await asyncio.wait_for(reader.read(65536), ANSWER_SEC)
    except ConnectionResetError:
        return None
    finally:
        writer.close()
    status = answer.split(b" ", 2)[1] if answer.startswith(b"HTTP/") else b""
    return None if status.startswith(b"4") else f"{case.name}: {answer[:200]!r}"


def fault_in(case: Case, status: int, content: bytes) -> str | None:
    """What is wrong with an answer: a fault of the server's, its insides, or another shape than OpenAI's."""
    shown = f"{case.name}: {status} {content[:200]!r}"
    if (status >= 500 and status != 501) or status == 429:
        return shown
    if any(part in content for part in (b"Traceback", b"site-packages", os.sep.encode() + b"tmp")):
        return f"tells too much: {shown}"
    if status < 400:
        return None
    try:
        error = json.loads(content)["error"]
    except (ValueError, KeyError, TypeError):
        return f"shape: {shown}"
    is_right = set(error) == {"message", "type", "param", "code"} and isinstance(error["code"], str)
    return None if is_right and isinstance(error["message"], str) and error["message"] else f"shape: {shown}"
