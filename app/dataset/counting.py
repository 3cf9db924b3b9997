"""One row's calls: replayed from its journal or asked, and counted."""

from collections.abc import Callable
from typing import Any

from app.agent.journal import CallJournal
from app.agent.llm import Engine, LlmCall, LlmReply, Score, ScoreCall
from app.dataset.results import RowCalls


class CountedEngine:
    """A generator and scorer as one row asks it.

    Args:
        engine: Gives the engine, which the first call starts.
        journal: The row's.
        calls: What the row took; replayed calls too, as it was made of them.
        count: Tells the progress display of a call, by its step.
    """

    def __init__(
        self, engine: Callable[[], Engine], journal: CallJournal, calls: RowCalls, count: Callable[..., Any]
    ) -> None:
        self._engine = engine
        self._calls = calls
        self._count = count
        self._generate = journal.wrap(self._asked, on_replay=self._replayed)
        self._scorer = journal.wrap_scorer(_Scoring(engine, self._told), on_replay=self._replayed)

    async def __call__(self, call: LlmCall) -> LlmReply:
        """See `app.agent.llm.Generator`."""
        reply = await self._generate(call)
        self._calls.add(call.step, reply)
        return reply

    async def score(self, call: ScoreCall) -> Score:
        """See `app.agent.llm.Scorer`."""
        score = await self._scorer.score(call)
        self._calls.add(call.step, score)
        return score

    async def close(self) -> None:
        """The engine is other rows' too and stays."""

    async def _asked(self, call: LlmCall) -> LlmReply:
        reply = await self._engine()(call)
        self._told(call.step, reply)
        return reply

    def _replayed(self, call: LlmCall | ScoreCall) -> None:
        self._count(call.step, calls=0, replayed=1)

    def _told(self, step: str, answer: LlmReply | Score) -> None:
        self._count(
            step,
            prompt_tokens=answer.num_prompt_tokens,
            output_tokens=answer.num_output_tokens,
            cached_tokens=answer.num_cached_tokens,
        )


class _Scoring:
    def __init__(self, engine: Callable[[], Engine], told: Callable[[str, Score], None]) -> None:
        self._engine, self._told = engine, told

    async def score(self, call: ScoreCall) -> Score:
        score = await self._engine().score(call)
        self._told(call.step, score)
        return score
