"""Answers shuffled among the rows of a run, scored like the rows' own: what chance looks like in this corpus."""

import asyncio
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app.agent.journal import CallJournal
from app.agent.llm import CannotScoreError, LlmError, Scorer
from app.agent.verification import Verifier
from app.config import Config
from app.dataset.engines import make_generator, make_verifier
from app.dataset.result_rows import ResultRows
from app.dataset.thresholds import ShuffledScores
from app.dataset.verified import SHUFFLED_FILE
from app.schema import document_id_of
from app.storage import Folder


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """What is kept of a measured row: its context would fill memory."""

    instruction: str
    answer: str
    passages: list[tuple[str, str]]
    """Document and text of each evidence passage."""


def measure_shuffled(config: Config, dataset: Folder, results: Folder, calls: Folder) -> None:
    """Write `shuffled_scores.json`. A try that broke off repeats no score: they are in the journal.

    Args:
        config: The run's settings.
        dataset: Its folder.
        results: All result rows.
        calls: The journals.
    """
    columns = ["verification", "instruction", "messages", "evidence_ids", "evidence_spans"]
    rows = draw_rows(
        ResultRows(results).read(columns), config.agent.verification.num_shuffled_rows, config.seed
    )
    scores = asyncio.run(_score_journaled(config, rows, CallJournal(calls, "shuffled")))
    dataset.write_json(SHUFFLED_FILE, asdict(scores))


async def _score_journaled(config: Config, rows: list[ScoredRow], journal: CallJournal) -> ShuffledScores:
    await journal.load()
    engine = make_generator(config.generator)
    try:
        scorer = journal.wrap_scorer(engine, on_replay=lambda call: None)
        return await score_shuffled(rows, make_verifier(config), scorer)
    finally:
        await engine.close()


def draw_rows(rows: Iterable[Mapping[str, Any]], count: int, random_seed: int) -> list[ScoredRow]:
    """The rows to shuffle among, drawn among those that were measured.

    Args:
        rows: Of RESULT_SCHEMA, in the order of their seeds.
        count: At most so many.
        random_seed: The run's.
    """
    drawn: list[ScoredRow] = []
    rng = random.Random(f"{random_seed} shuffled answers")
    num_seen = 0
    for row in rows:
        measured = row["verification"]
        if measured is None or measured["evidence_gain"] is None:
            continue
        num_seen += 1
        place = len(drawn) if len(drawn) < count else rng.randrange(num_seen)
        if place < count:
            drawn[place : place + 1] = [_kept(row)]
    rng.shuffle(drawn)
    return drawn


async def score_shuffled(rows: Sequence[ScoredRow], verifier: Verifier, scorer: Scorer) -> ShuffledScores:
    """Measure each row's evidence with the next one's answer; rows whose score fails are left out."""
    if len(rows) < 2:
        return ShuffledScores([], [], [])
    pairs = zip(rows, [*rows[1:], rows[0]], strict=True)
    found = await asyncio.gather(*(_score_pair(row, other.answer, verifier, scorer) for row, other in pairs))
    scored = [each for each in found if each is not None]
    return ShuffledScores(
        [closed for closed, _, _ in scored],
        [full - closed for closed, full, _ in scored],
        [full - rest for _, full, rest in scored if rest is not None],
    )


async def _score_pair(
    row: ScoredRow, answer: str, verifier: Verifier, scorer: Scorer
) -> tuple[float, float, float | None] | None:
    """Scores without evidence, with it, and without the document of its last passage."""
    last = row.passages[-1][0]
    fewer = [text for name, text in row.passages if name != last]

    async def score(texts: list[str]) -> float:
        shown = verifier.cut(texts, row.instruction, answer)
        return await verifier.log_likelihood(row.instruction, shown, answer, scorer)

    try:
        closed, full = await asyncio.gather(score([]), score([text for _, text in row.passages]))
        return closed, full, await score(fewer) if fewer else None
    except (LlmError, CannotScoreError):
        return None


def _kept(row: Mapping[str, Any]) -> ScoredRow:
    user, answer = row["messages"][0]["content"], row["messages"][1]["content"]
    passages = [
        (document_id_of(name), user[start:end])
        for name, (start, end) in zip(row["evidence_ids"], row["evidence_spans"], strict=True)
    ]
    return ScoredRow(row["instruction"], answer, passages)
