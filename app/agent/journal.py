"""Finished calls on disk, so that a row that was half done when its worker died pays for none of them again."""

import asyncio
from dataclasses import asdict

from app.agent.llm import Generator, LlmCall, LlmReply
from app.storage import Folder


class CallJournal:
    """The calls of one row: one small file a call, named by the call's content.

    A file a call, rather than a log a row, because object stores cannot append and because a call that has returned
    must be on disk before the workflow goes on.
    """

    def __init__(self, calls: Folder, seed_id: str) -> None:
        self._folder = calls / seed_id
        self._replies: dict[str, LlmReply] = {}
        self.num_replayed = 0

    async def load(self) -> None:
        """Read what an earlier try at this row left."""
        self._replies = await asyncio.to_thread(self._read)

    def wrap(self, generate: Generator) -> Generator:
        """The same generator, answering out of the journal what stands in it and writing down what does not."""

        async def replay_or_generate(call: LlmCall) -> LlmReply:
            if (reply := self._replies.get(call.key)) is not None:
                self.num_replayed += 1
                return reply
            reply = await generate(call)
            await asyncio.to_thread(self._folder.write_json, f"{call.key}.json", asdict(reply))
            return reply

        return replay_or_generate

    def _read(self) -> dict[str, LlmReply]:
        names = self._folder.list_names(".json")
        return {name.removesuffix(".json"): LlmReply(**self._folder.read_json(name)) for name in names}
