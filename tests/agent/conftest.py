"""Doubles for the workflow: a tokenizer of words and a generator that follows a script."""

import re
from collections import Counter
from collections.abc import Callable

import pytest

from app.agent.llm import LlmCall, LlmError, LlmReply
from app.schema import ContextDocument, Passage, Seed

Script = Callable[[LlmCall], str]


class WordTokenizer:
    """One token a word; quacks like `app.tokens.Tokenizer`."""

    def offsets(self, text):
        return [match.span() for match in re.finditer(r"\S+\s*", text)]

    def count(self, text):
        return len(self.offsets(text))

    def count_batch(self, texts):
        return [self.count(text) for text in texts]


class ScriptedGenerator:
    """Answers each step as the script says and keeps what it was asked."""

    def __init__(self, script: dict[str, str | Script | list[str | Exception]]) -> None:
        self.script = script
        self.calls: list[LlmCall] = []

    @property
    def num_calls(self) -> Counter:
        return Counter(call.step for call in self.calls)

    async def __call__(self, call: LlmCall) -> LlmReply:
        self.calls.append(call)
        answer = self.script[call.step]
        if isinstance(answer, list):
            answer = answer.pop(0)
        if callable(answer):
            answer = answer(call)
        if isinstance(answer, Exception):
            raise answer
        text, _, cut = answer.partition("<cut>")
        finish = "length" if cut or answer.endswith("<cut>") else "stop"
        return LlmReply(text, finish, num_prompt_tokens=10, num_output_tokens=len(text.split()))


@pytest.fixture
def tokenizer():
    return WordTokenizer()


@pytest.fixture
def scripted():
    return ScriptedGenerator


@pytest.fixture
def llm_error():
    return LlmError


def make_document(name: str, texts: list[str], score: float = 1.0) -> ContextDocument:
    passages, start = [], 0
    for index, text in enumerate(texts):
        end = start + len(text)
        passages.append(Passage(f"{name}:{index:05d}", name, start, end, len(text.split()), text))
        start = end
    return ContextDocument(name, f"Title of {name}", passages, score)


@pytest.fixture
def documents():
    return [
        make_document("whales", ["Whales sing in winter. ", "Sperm whales dive two kilometres. "]),
        make_document("ports", ["Nantucket lived on whale oil. ", "Its harbour silted up. "]),
        make_document("sqlite", ["A database page has 4096 bytes. "]),
    ]


@pytest.fixture
def seed():
    return Seed(
        seed_id="long-input-00000000-abcdef01",
        seed_index=0,
        kind="long_input",
        task="trace",
        document_id="whales",
        passage_id="whales:00000",
        text="Nantucket whalers hunted sperm whales for oil until the harbour silted up.",
        target_tokens=30,
        random_seed=7,
    )
