import asyncio

import pytest

from app.agent.journal import CallJournal
from app.agent.llm import LlmCall, LlmError
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
