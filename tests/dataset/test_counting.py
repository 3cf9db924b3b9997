import asyncio

from app.agent.journal import CallJournal
from app.agent.llm import LlmCall, LlmReply, Score, ScoreCall
from app.dataset.counting import CountedEngine
from app.dataset.results import RowCalls
from app.storage import Folder

MESSAGES = ({"role": "user", "content": "Who keeps bees?"},)
CALL, SCORED = LlmCall("answer", MESSAGES, 8, 1), ScoreCall("verification", MESSAGES, "The captain.")


class Engine:
    async def __call__(self, call):
        return LlmReply("The captain.", "stop", num_prompt_tokens=10, num_output_tokens=3)

    async def score(self, call):
        return Score.of([-1.0] * 3, num_prompt_tokens=13)


def ask_both(folder):
    told, calls = [], RowCalls()

    async def ask():
        journal = CallJournal(folder, "seed")
        await journal.load()
        engine = CountedEngine(Engine, journal, calls, lambda step, **counts: told.append((step, counts)))
        await engine(CALL)
        await engine.score(SCORED)

    asyncio.run(ask())
    return told, calls.to_list()


def test_calls_and_scores_are_counted_and_replayed_ones_once_more_for_the_row(tmp_path):
    folder = Folder(str(tmp_path))
    told, calls = ask_both(folder)
    assert [(step, counts["prompt_tokens"]) for step, counts in told] == [
        ("answer", 10),
        ("verification", 13),
    ]
    again, calls_again = ask_both(folder)
    assert again == [(step, {"calls": 0, "replayed": 1}) for step in ("answer", "verification")]
    assert calls == calls_again
    assert {each["step"]: each["num_prompt_tokens"] for each in calls} == {"answer": 10, "verification": 13}
