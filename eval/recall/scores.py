"""Scores of the recall suite: whether answers follow the context, the memory, or neither."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from app.storage import Folder
from eval.csv_rows import render_csv
from eval.recall.facts import first_mention, normalize
from eval.recall.maker import KINDS, Kind, Variant
from eval.records import Record
from eval.scoring import Mean, mean_with_interval

Followed = Literal["context", "memory", "neither"]
_Verdicts = dict[Variant, Followed | None]
"""By variant; None: no answer."""


@dataclass(frozen=True, slots=True)
class RecallScore:
    """One kind of question at one length, in percent of the questions, with confidence intervals.

    None: there is nothing to score, or not all of it is answered. Following the changed context is a reader's doing;
    sticking to memory gives what is true in the world (of a fact) or what the other wiring says (of a chain).
    """

    kind: Kind
    length_tokens: int
    num_questions: int
    num_failed: int
    """Requests without an answer, closed-book ones among them."""
    true_followed: Mean | None
    """Answers as the context says, where that is true."""
    changed_followed: Mean | None
    """Answers as the context says, where it is changed."""
    changed_remembered: Mean | None
    """Answers that give the true one instead."""
    changed_neither: Mean | None
    both_followed: Mean | None
    """Share of questions answered as the context says in both variants; guessing or sticking to one answer fails."""
    closed_book: Mean | None
    """Share of correct answers without a context: what the model knows. No model knows an invented chain."""
    num_known: int
    """Questions that the model answers correctly without a context."""
    known_followed: Mean | None
    """Share of the known questions whose answer follows the changed context."""
    known_remembered: Mean | None
    """Share of the known questions whose answer follows the memory instead."""


_SHARES = {field.name for field in fields(RecallScore) if "Mean" in str(field.type)}


def followed(facts: dict[str, Any], reply: str) -> Followed:
    """What a reply follows: of both answers the one that it names first, as whole words, counts.

    Args:
        facts: Facts of the sample.
        reply: Without the answer prefix.
    """
    text = normalize(reply)
    context = first_mention(text, facts["context_answers"])
    remembered = first_mention(text, facts["remembered_answers"])
    if context is not None and (remembered is None or context <= remembered):
        return "context"
    return "memory" if remembered is not None else "neither"


def score_recall(
    records: Sequence[Record], failures_count_as_wrong: bool, seed: int = 0
) -> list[RecallScore]:
    """Scores by kind and length.

    Args:
        records: All of one model's, each sample once.
        failures_count_as_wrong: A request that failed for good counts as an answer that follows neither; otherwise the
            shares that it belongs to are None.
        seed: Seed of the intervals.
    """
    verdicts: dict[tuple[Kind, int], dict[int, _Verdicts]] = {}
    closed: dict[str, Followed | None] = {}
    for record in records:
        if record.facts["variant"] == "closed":
            closed[record.facts["item"]] = _verdict(record, failures_count_as_wrong)
    for record in records:
        facts = record.facts
        if facts["variant"] != "closed":
            cell = verdicts.setdefault((facts["kind"], record.length_tokens), {})
            question = cell.setdefault(facts["index"], {"closed": closed[facts["item"]]})
            question[facts["variant"]] = _verdict(record, failures_count_as_wrong)
    return [
        _score(kind, length, list(cell.values()), seed)
        for (kind, length), cell in sorted(
            verdicts.items(), key=lambda entry: (KINDS.index(entry[0][0]), entry[0][1])
        )
    ]


def write_scores(folder: Folder, scores: Sequence[RecallScore]) -> None:
    """Write all shares with their intervals as `scores.csv`; what has no score stays empty."""
    folder.write_bytes("scores.csv", render_csv(rows(scores)).encode())


def rows(scores: Sequence[RecallScore]) -> list[dict[str, Any]]:
    """Columns of a table: of each share its value and the ends of its interval, None where there is no score."""
    table = []
    for cell in scores:
        row: dict[str, Any] = {}
        for field in fields(cell):
            value = getattr(cell, field.name)
            if field.name in _SHARES:
                for end in ("value", "low", "high"):
                    name = field.name if end == "value" else f"{field.name}_{end}"
                    row[name] = None if value is None else getattr(value, end)
            else:
                row[field.name] = value
        table.append(row)
    return table


def _verdict(record: Record, failures_count_as_wrong: bool) -> Followed | None:
    if record.reply is not None:
        return followed(record.facts, record.reply.text)
    return "neither" if failures_count_as_wrong else None


def _score(kind: Kind, length: int, questions: list[_Verdicts], seed: int) -> RecallScore:
    assert all(len(question) == 3 for question in questions), f"{kind} at {length}: a variant is missing"

    def share(of: Sequence[_Verdicts], variants: Sequence[Variant], verdict: Followed) -> Mean | None:
        answers = [[question[variant] for variant in variants] for question in of]
        if not answers or any(answer is None for row in answers for answer in row):
            return None
        return mean_with_interval(
            [[100.0 * all(answer == verdict for answer in row) for row in answers]], seed
        )

    is_known = [question["closed"] == "memory" for question in questions]
    knowledge_is_whole = all(question["closed"] is not None for question in questions)
    known = [
        question
        for question, is_one in zip(questions, is_known, strict=True)
        if is_one and knowledge_is_whole
    ]
    return RecallScore(
        kind=kind,
        length_tokens=length,
        num_questions=len(questions),
        num_failed=sum(answer is None for question in questions for answer in question.values()),
        true_followed=share(questions, ["true"], "context"),
        changed_followed=share(questions, ["changed"], "context"),
        changed_remembered=share(questions, ["changed"], "memory"),
        changed_neither=share(questions, ["changed"], "neither"),
        both_followed=share(questions, ["true", "changed"], "context"),
        closed_book=share(questions, ["closed"], "memory"),
        num_known=len(known),
        known_followed=share(known, ["changed"], "context"),
        known_remembered=share(known, ["changed"], "memory"),
    )
