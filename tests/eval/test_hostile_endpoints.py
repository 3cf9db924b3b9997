"""An endpoint that answers in every wrong way, as collected outside of this repository: what each way comes to.

LONGSTRAP_SHARED is the folder that holds the cases; without it these tests are skipped.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.config import EvaluateConfig, EvaluateSamplingConfig
from app.endpoints.replies import RequestError
from app.faults import UserError
from app.tokens import Tokenizer
from eval.client import EvaluationClient
from eval.outcomes import outcome_of
from eval.prompt_frame import PromptFrame
from eval.records import Record
from eval.samples import Sample
from eval.token_text import tokenize

CASES = Path(os.environ.get("LONGSTRAP_SHARED", "../shared")) / "cases" / "evaluation"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="LONGSTRAP_SHARED holds no cases of evaluation")
SAMPLE = Sample(
    "t-64-00000", "t", 4096, np.arange(4000, dtype=np.int32), 8, ["1234567"], content="word " * 3900
)
SHORT = replace(SAMPLE, token_ids=np.arange(20, dtype=np.int32), content="word")
"""That endpoint counts a chat by its messages."""


class Endpoint:
    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}/v1"

    def set(self, mode):
        request = urllib.request.Request(f"{self.url[:-3]}/mode/{mode}", b"{}")
        assert json.load(urllib.request.urlopen(request))["mode"] == mode


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("log") / "asked.jsonl"
    process = subprocess.Popen([sys.executable, str(CASES / "fake_server.py"), str(port), str(log)])
    found = Endpoint(port)
    deadline = time.monotonic() + 60
    while True:
        try:
            found.set("ok")
            break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    yield found
    process.kill()
    process.wait()


def with_client(endpoint, ask, api="completions", url=None, timeout_sec=60.0, **settings):
    async def once():
        config = EvaluateConfig(api=api, num_retries=0, request_timeout_sec=timeout_sec, **settings)
        way = None if api == "completions" else "none"
        client = EvaluationClient(config, url or endpoint.url, "sk-SECRET-123456", "m", way)
        try:
            return await ask(client)
        finally:
            await client.close()

    return asyncio.run(once())


def record_of(endpoint, mode, sample=SAMPLE, **settings):
    endpoint.set(mode)

    async def ask(client):
        try:
            return Record.of(sample, await client.ask(sample))
        except RequestError as error:
            return Record.of(sample, None, str(error))

    return with_client(endpoint, ask, **settings)


@pytest.mark.parametrize(
    ("mode", "api", "outcome"),
    [
        ("ok", "completions", "answered"),
        ("badjson", "completions", "failed"),
        ("html200", "completions", "failed"),
        ("plain200", "completions", "failed"),
        ("list200", "completions", "failed"),
        ("sse", "completions", "failed"),
        ("empty_choices", "completions", "failed"),
        ("null_choices", "completions", "failed"),
        ("no_choices", "completions", "failed"),
        ("nomsg", "chat", "failed"),
        ("err200", "completions", "failed"),
        ("hang", "completions", "failed"),
        ("null", "completions", "empty"),
        ("empty", "completions", "empty"),
        ("abort", "completions", "failed"),
        ("filter", "completions", "filtered"),
        ("reasoning", "chat", "only thought"),
        ("thinktext", "completions", "only thought"),
        ("surrogate", "completions", "answered"),
    ],
)
def test_each_reply_is_an_answer_or_is_named(endpoint, mode, api, outcome):
    timeout_sec = 0.5 if mode == "hang" else 60.0
    sample = SAMPLE if api == "completions" else SHORT
    assert outcome_of(record_of(endpoint, mode, sample, api=api, timeout_sec=timeout_sec)) == outcome


@pytest.mark.parametrize(
    ("mode", "api", "fault"),
    [
        ("truncate", "chat", "read 2,048 tokens of a chat that has about 4,000"),
        ("truncate", "completions", "read 2048 tokens although 4000 were sent"),
        ("400ctx", "completions", "refuses every request"),
        ("500", "completions", "does not answer|refuses every request"),
        ("o1", "chat", "max_completion_tokens"),
        ("401", "completions", "refuses the key in LONGSTRAP_API_KEY"),
    ],
)
def test_what_all_requests_meet_is_one_line_without_the_key(endpoint, mode, api, fault):
    with pytest.raises(UserError, match=fault) as raised:
        record_of(endpoint, mode, api=api)
    assert "\n" not in str(raised.value)
    assert "SECRET" not in str(raised.value)


def test_another_name_of_the_limit_is_a_setting(endpoint):
    sampling = EvaluateSamplingConfig(max_tokens_name="max_completion_tokens", temperature=None)
    record = record_of(endpoint, "ok", SHORT, api="chat", sampling=sampling)
    assert outcome_of(record) == "answered"


@pytest.mark.parametrize(
    ("mode", "has_v1"),
    [
        ("models_html", True),
        ("models_badjson", True),
        ("models_null", True),
        ("models_nodata", True),
        ("models_500", True),
        ("models_404", True),
        ("auth", True),
        ("ui", False),
    ],
)
def test_models_of_no_known_shape_are_one_line(endpoint, mode, has_v1):
    endpoint.set(mode)
    url = endpoint.url if has_v1 else endpoint.url.removesuffix("/v1")
    with pytest.raises(UserError, match=r"evaluate\.") as raised:
        with_client(endpoint, lambda client: client.models(), url=url)
    assert "\n" not in str(raised.value)
    assert "SECRET" not in str(raised.value)


@pytest.mark.parametrize("folder", ["metaspace_chatml", "metaspace_mistral"])
def test_a_chat_holds_the_question_alone_with_tokenizers_of_the_metaspace_kind(folder):
    tokenizer = Tokenizer(str(CASES / folder))
    question = "Read the text.\nWhat is the special magic number for ship mentioned in the provided text?"
    prompt = PromptFrame(tokenizer, "chat").prompt(
        [tokenize(tokenizer, question)], "The special magic number is"
    )
    assert prompt.content == question
    assert prompt.answer_prefix == "The special magic number is"
