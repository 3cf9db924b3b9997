"""Journal of finished calls on disk, so that a row interrupted by a dead worker repeats none of them."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from app.agent.llm import Generator, LlmCall, LlmReply, Score, ScoreCall, Scorer
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
        self._scores: dict[str, Score] = {}

    async def load(self) -> None:
        """Read what an earlier try at this row left."""
        await asyncio.to_thread(self._read)

    def wrap(self, generate: Generator, on_replay: Callable[[LlmCall], None]) -> Generator:
        """Wrap a generator: replay calls that are in the journal, and record those that are not."""

        async def replay_or_generate(call: LlmCall) -> LlmReply:
            if (reply := self._replies.get(call.key)) is not None:
                on_replay(call)
                return reply
            asked_at = time.time()
            reply = await generate(call)
            record: dict[str, Any] = {"step": call.step, "reply": asdict(reply)}
            await self._write(call, record, asked_at)
            return reply

        return replay_or_generate

    def wrap_scorer(self, scorer: Scorer, on_replay: Callable[[ScoreCall], None]) -> Scorer:
        """Wrap a scorer likewise."""
        return _JournaledScorer(self, scorer, on_replay)

    async def replay_or_score(
        self, scorer: Scorer, call: ScoreCall, on_replay: Callable[[ScoreCall], None]
    ) -> Score:
        """The score of a call: the journal's, or else the scorer's, which is then recorded."""
        if (score := self._scores.get(call.key)) is not None:
            on_replay(call)
            return score
        asked_at = time.time()
        score = self._scores[call.key] = await scorer.score(call)
        await self._write(call, {"step": call.step, "score": asdict(score)}, asked_at)
        return score

    async def _write(self, call: LlmCall | ScoreCall, record: dict[str, Any], asked_at_sec: float) -> None:
        if self._keeps_prompts:
            record |= {"call": asdict(call), "asked_at_sec": asked_at_sec, "answered_at_sec": time.time()}
        await asyncio.to_thread(self._folder.write_json, f"{call.key}.json", record)

    def _read(self) -> None:
        for name in self._folder.list_names(".json"):
            record, key = self._folder.read_json(name), name.removesuffix(".json")
            if "score" in record:
                self._scores[key] = Score(**record["score"])
            else:
                self._replies[key] = LlmReply(**record["reply"])


class _JournaledScorer:
    def __init__(self, journal: CallJournal, scorer: Scorer, on_replay: Callable[[ScoreCall], None]) -> None:
        self._journal, self._scorer, self._on_replay = journal, scorer, on_replay

    async def score(self, call: ScoreCall) -> Score:
        return await self._journal.replay_or_score(self._scorer, call, self._on_replay)
