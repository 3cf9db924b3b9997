import asyncio

import pytest

from app.agent.journal import CallJournal
from app.agent.llm import LlmCall, LlmError, Score, ScoreCall
from app.storage import Folder

CALL = LlmCall("answer", ({"role": "user", "content": "héllo 😀"},), max_output_tokens=8, random_seed=1)


async def ask(folder, generate, call=CALL):
    journal = CallJournal(folder, "seed-1")
    await journal.load()
    replayed = []
    return await journal.wrap(generate, replayed.append)(call), replayed


def test_finished_call_is_replayed_and_not_made_again(tmp_path, scripted):
    folder = Folder(str(tmp_path))
    first, _ = asyncio.run(ask(folder, scripted({"answer": "once 😀"})))
    never = scripted({"answer": [AssertionError("asked again")]})
    again, replayed = asyncio.run(ask(folder, never))
    assert again == first
    assert replayed == [CALL]


def test_another_call_is_made(tmp_path, scripted):
    folder = Folder(str(tmp_path))
    asyncio.run(ask(folder, scripted({"answer": "one"})))
    other = LlmCall("answer", CALL.messages, max_output_tokens=8, random_seed=2)
    reply, replayed = asyncio.run(ask(folder, scripted({"answer": "two"}), other))
    assert reply.text == "two"
    assert replayed == []


def test_failed_call_is_not_written_down(tmp_path, scripted):
    folder = Folder(str(tmp_path))
    with pytest.raises(LlmError):
        asyncio.run(ask(folder, scripted({"answer": [LlmError("timed out")]})))
    reply, _ = asyncio.run(ask(folder, scripted({"answer": "later"})))
    assert reply.text == "later"


def test_half_written_reply_is_not_read(tmp_path, scripted):
    folder = Folder(str(tmp_path))
    asyncio.run(ask(folder, scripted({"answer": "whole"})))
    (written,) = (tmp_path / "seed-1").glob("*.json")
    written.rename(written.with_name(f".{written.name}.aside"))
    reply, _ = asyncio.run(ask(folder, scripted({"answer": "anew"})))
    assert reply.text == "anew"


class CountingScorer:
    def __init__(self):
        self.calls = []

    async def score(self, call):
        self.calls.append(call)
        return Score.of([-1.0, -2.0], 7)


def test_a_score_is_replayed_and_stands_beside_replies(tmp_path, scripted):
    folder, scorer = Folder(str(tmp_path)), CountingScorer()
    call = ScoreCall("verification", CALL.messages, "Ada Brink.")

    async def once():
        journal = CallJournal(folder, "seed-1")
        await journal.load()
        replayed = []
        score = await journal.wrap_scorer(scorer, replayed.append).score(call)
        return score, replayed

    asyncio.run(ask(folder, scripted({"answer": "one"})))
    first, replayed_first = asyncio.run(once())
    again, replayed = asyncio.run(once())
    assert again == first == Score(-1.5, 2, 7)
    assert (replayed_first, replayed) == ([], [call])
    assert len(scorer.calls) == 1
    reply, _ = asyncio.run(ask(folder, scripted({"answer": [AssertionError("asked again")]})))
    assert reply.text == "one"
