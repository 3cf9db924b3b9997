import asyncio

import pytest

from app.agent.verification import Verifier
from app.config import VerificationConfig
from app.dataset.shuffling import draw_rows, score_shuffled
from tests.agent.conftest import WordTokenizer
from tests.agent.test_verification import Failing, LlmError, WordScorer

SUBJECTS = ("mine", "flood", "ferry", "orchard", "chapel")


def make_row(subject, is_measured=True):
    passages = [f"The {subject} of Karlsund burnt. ", f"The {subject} was rebuilt. "]
    user = "Document 1\n\n" + "".join(passages) + "\n\n---\n\nWhat happened?"
    starts = [user.index(text) for text in passages]
    return {
        "instruction": f"What happened to the {subject}?",
        "messages": [
            {"role": "user", "content": user},
            {"role": "assistant", "content": f"The {subject} burnt."},
        ],
        "evidence_ids": ["a:00000", "b:00000"],
        "evidence_spans": [[start, start + len(text)] for start, text in zip(starts, passages, strict=True)],
        "verification": {"evidence_gain": 1.0 if is_measured else None},
    }


def test_rows_are_drawn_among_those_that_were_measured():
    rows = [make_row("mine"), make_row("flood", is_measured=False), make_row("ferry"), make_row("chapel")]
    rows.append(make_row("orchard") | {"verification": None})
    drawn = draw_rows(rows, 10, random_seed=1)
    assert sorted(row.answer for row in drawn) == ["The chapel burnt.", "The ferry burnt.", "The mine burnt."]
    assert drawn[0].passages[0][1].endswith("burnt. ")
    assert len(draw_rows(rows, 2, random_seed=1)) == 2
    assert draw_rows(rows, 2, random_seed=1) == draw_rows(rows, 2, random_seed=1)


@pytest.fixture
def verifier():
    return Verifier(VerificationConfig(signals=True), WordTokenizer(), 1, 4096)


def test_evidence_is_measured_with_the_answer_of_another_row(verifier):
    scorer = WordScorer()
    rows = draw_rows(map(make_row, SUBJECTS), 5, random_seed=1)
    found = asyncio.run(score_shuffled(rows, verifier, scorer))
    assert len(found.evidence_gain) == len(found.closed_book) == len(found.necessity) == 5
    # Of the other's two words, the evidence has one, and its second passage adds nothing to the first.
    assert found.evidence_gain == pytest.approx([2.0] * 5)
    assert found.necessity == pytest.approx([0.0] * 5)
    asked = [(call.messages[-1]["content"].rpartition("\n\n")[2], call.text) for call in scorer.calls]
    assert all(call.split()[-1].rstrip("?") not in answer for call, answer in asked)


def test_what_cannot_be_scored_is_left_out(verifier):
    rows = draw_rows(map(make_row, SUBJECTS), 5, random_seed=1)
    found = asyncio.run(score_shuffled(rows, verifier, Failing([LlmError("timed out")] * 3)))
    assert len(found.evidence_gain) < 5
    assert asyncio.run(score_shuffled(rows[:1], verifier, WordScorer())).evidence_gain == []
