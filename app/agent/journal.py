"""Journal of finished calls on disk, so that a row interrupted by a dead worker repeats none of them."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from app.agent.llm import Generator, LlmCall, LlmReply
from app.storage import Folder


class CallJournal:
    """The calls of one row: one small file a call, named by the call's content.

    A file a call, rather than a log a row, because object stores cannot append and because a call that has returned
    must be on disk before the workflow goes on.

    Args:
        calls: Folder of all journals.
        seed_id: Id of the row's seed.
        keeps_prompts: Write down what was asked, and when, beside what was answered; for people who look into it.
    """

    def __init__(self, calls: Folder, seed_id: str, keeps_prompts: bool = False) -> None:
        self._folder = calls / seed_id
        self._keeps_prompts = keeps_prompts
        self._replies: dict[str, LlmReply] = {}

    async def load(self) -> None:
        """Read what an earlier try at this row left."""
        self._replies = await asyncio.to_thread(self._read)

    def wrap(self, generate: Generator, on_replay: Callable[[LlmCall], None]) -> Generator:
        """Wrap a generator: replay calls that are in the journal, and record those that are not."""

        async def replay_or_generate(call: LlmCall) -> LlmReply:
            if (reply := self._replies.get(call.key)) is not None:
                on_replay(call)
                return reply
            asked_at = time.time()
            reply = await generate(call)
            record: dict[str, Any] = {"step": call.step, "reply": asdict(reply)}
            if self._keeps_prompts:
                record |= {"call": asdict(call), "asked_at_sec": asked_at, "answered_at_sec": time.time()}
            await asyncio.to_thread(self._folder.write_json, f"{call.key}.json", record)
            return reply

        return replay_or_generate

    def _read(self) -> dict[str, LlmReply]:
        names = self._folder.list_names(".json")
        return {
            name.removesuffix(".json"): LlmReply(**self._folder.read_json(name)["reply"]) for name in names
        }
