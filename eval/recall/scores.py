"""What the answers of the recall suite follow: the context, the memory, or neither."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np

from eval.recall.facts import first_mention, normalize
from eval.recall.maker import KINDS, Kind, Variant
from eval.records import Record

NUM_RESAMPLES = 1000
CONFIDENCE_PERCENT = 95.0
Followed = Literal["context", "memory", "neither"]
_Verdicts = dict[Variant, Followed | None]
"""By variant; None: no answer."""


@dataclass(frozen=True, slots=True)
class Share:
    """A share of answers, 0 to 1, with its bootstrap confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class RecallScore:
    """One kind of question at one length. None: there is nothing to score, or not all of it is answered.

    A share that follows the changed context is a reader's; one that sticks to memory gives what is true in the world
    (of a fact), or what the other wiring says (of a chain).
    """

    kind: Kind
    length_tokens: int
    num_questions: int
    num_failed: int
    """Requests without an answer, closed-book ones among them."""
    true_followed: Share | None
    """Answers as the context says, where that is true."""
    changed_followed: Share | None
    """Answers as the context says, where it is changed."""
    changed_remembered: Share | None
    """Answers that give the true one instead."""
    changed_neither: Share | None
    both_followed: Share | None
    """Questions that are answered as the context says in both variants: what guessing and sticking cannot reach."""
    closed_book: Share | None
    """Right without a context: what the model knows; of the invented chains no model knows any."""
    num_known: int
    """Questions that the model answers rightly without a context."""
    known_followed: Share | None
    """Of those: answers as the changed context says."""
    known_remembered: Share | None


_SHARES = {field.name for field in fields(RecallScore) if "Share" in str(field.type)}


def followed(facts: dict[str, Any], reply: str) -> Followed:
    """What a reply follows: of both answers the one that it names first, as whole words, counts.

    Args:
        facts: Of the sample.
        reply: Without the answer prefix.
    """
    text = normalize(reply)
    context = first_mention(text, facts["context_answers"])
    remembered = first_mention(text, facts["remembered_answers"])
    if context is not None and (remembered is None or context <= remembered):
        return "context"
    return "memory" if remembered is not None else "neither"


def score(records: Sequence[Record], failures_count_as_wrong: bool, seed: int = 0) -> list[RecallScore]:
    """Scores by kind and length.

    Args:
        records: All of one model's, each sample once.
        failures_count_as_wrong: A request that failed for good counts as an answer that follows neither; otherwise the
            shares that it belongs to are None.
        seed: Of the bootstrap.
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

    def share(of: Sequence[_Verdicts], variants: Sequence[Variant], verdict: Followed) -> Share | None:
        answers = [[question[variant] for variant in variants] for question in of]
        if not answers or any(answer is None for row in answers for answer in row):
            return None
        return _bootstrap([all(answer == verdict for answer in row) for row in answers], seed)

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


def _bootstrap(is_so: Sequence[bool], seed: int) -> Share:
    """A share, and the interval that holds the middle of the shares of resampled questions."""
    values = np.array(is_so, np.float64)
    drawn = np.random.default_rng(seed).integers(0, len(values), (NUM_RESAMPLES, len(values)))
    tail = (100.0 - CONFIDENCE_PERCENT) / 2
    low, high = np.percentile(values[drawn].mean(axis=1), [tail, 100.0 - tail])
    return Share(float(values.mean()), float(low), float(high))
