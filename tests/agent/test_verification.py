"""Verification with a scorer that finds an answer as likely as the share of its words that it was shown."""

import asyncio
from dataclasses import replace

import pytest

from app.agent.llm import CannotScoreError, LlmError, Score
from app.agent.verification import Verifier
from app.config import VerificationConfig
from app.schema import Draft, Verification
from app.text.words import content_words
from tests.agent.conftest import make_document

ANSWER = "Ada Brink bought the mine of Karlsund, and its pumps stood still for nineteen days."
MINE = "Ada Brink bought the mine of Karlsund. "
FLOOD = "The pumps stood still for nineteen days. "
FERRY = "The captain of the Ostervik ferry keeps bees. "


class WordScorer:
    """The log-likelihood is 0 if all words of the text stand in the prompt, and -4 if none does."""

    def __init__(self, known=""):
        self.known, self.calls = content_words(known), []

    async def score(self, call):
        self.calls.append(call)
        words = content_words(call.text)
        shown = content_words(call.messages[-1]["content"]) | self.known
        return Score.of([4 * (len(words & shown) / len(words) - 1)], num_prompt_tokens=10)


def verify(seed, tokenizer, documents, evidence_ids, answer=ANSWER, scorer=None, **settings):
    draft = Draft(seed, "Find out who owned it and what befell it.", answer, documents, evidence_ids)
    scorer = scorer or WordScorer()
    verifier = Verifier(VerificationConfig(signals=True, **settings), tokenizer, 2, 8192)
    return asyncio.run(verifier(draft, scorer)), scorer


@pytest.fixture
def documents():
    return [
        make_document("mine", [MINE, "Tin is a metal. "]),
        make_document("flood", [FLOOD]),
        make_document("ferry", [FERRY]),
    ]


def test_each_needed_document_is_missed_when_it_is_left_out(seed, tokenizer, documents):
    draft, scorer = verify(seed, tokenizer, documents, ["mine:00000", "flood:00000"])
    found = draft.verification
    assert found.closed_book == pytest.approx(-4)
    assert found.evidence_gain == pytest.approx(4)
    assert found.distractor_gain == 0.0
    assert set(found.necessity) == {"mine", "flood"}
    assert all(drop > 1 for drop in found.necessity.values())
    assert draft.evidence_ids == ["mine:00000", "flood:00000"]
    assert len(scorer.calls) == 4, "without, with, and without each"


def test_a_document_that_adds_nothing_costs_nothing_to_leave_out(seed, tokenizer, documents):
    answer = "Ada Brink bought the mine of Karlsund."
    draft, _ = verify(seed, tokenizer, documents, ["mine:00000", "ferry:00000"], answer)
    assert draft.verification.necessity["ferry"] == pytest.approx(0)
    assert draft.verification.necessity["mine"] == pytest.approx(4)


def test_an_answer_that_is_known_gains_nothing(seed, tokenizer, documents):
    draft, _ = verify(
        seed, tokenizer, documents, ["mine:00000", "flood:00000"], scorer=WordScorer(known=ANSWER)
    )
    assert draft.verification.closed_book == pytest.approx(0)
    assert draft.verification.evidence_gain == pytest.approx(0)


def test_unmarked_passages_that_explain_the_answer_become_evidence(seed, tokenizer, documents):
    draft, _ = verify(seed, tokenizer, documents, ["ferry:00000"])
    assert draft.evidence_ids == ["ferry:00000", "flood:00000", "mine:00000"]
    assert draft.verification.evidence_gain == pytest.approx(4)
    assert draft.verification.necessity["ferry"] == pytest.approx(0)


def test_no_passage_becomes_evidence_of_an_answer_that_has_none(seed, tokenizer, documents):
    answer = "Courage matters in difficult times, as does the tin roof of every house on that northern shore."
    draft, _ = verify(seed, tokenizer, documents, ["ferry:00000"], answer, marked_share=0.5)
    assert "flood:00000" not in draft.evidence_ids
    assert draft.verification.evidence_gain < 1


def test_many_documents_are_left_out_in_part_the_likeliest_first(seed, tokenizer, documents):
    draft, _ = verify(
        seed, tokenizer, documents, ["ferry:00000", "flood:00000", "mine:00000"], max_left_out=2
    )
    assert set(draft.verification.necessity) == {"mine", "flood"}


def test_long_evidence_is_cut_to_what_is_read(seed, tokenizer):
    documents = [make_document("a", [MINE + "tin " * 500]), make_document("b", [FLOOD + "rain " * 500])]
    draft, scorer = verify(seed, tokenizer, documents, ["a:00000", "b:00000"], evidence_tokens=100)
    longest = max(tokenizer.count(call.messages[-1]["content"]) for call in scorer.calls)
    assert longest < 120
    assert draft.verification.evidence_gain == pytest.approx(4), "each keeps its beginning"


class Failing:
    def __init__(self, errors):
        self.errors = errors

    async def score(self, call):
        if self.errors:
            raise self.errors.pop(0)
        return Score.of([-1.0], 3)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (CannotScoreError("endpoint tells no log probabilities of a prompt"), "endpoint tells no log"),
        (LlmError("timed out"), "score timed out"),
    ],
)
def test_a_row_that_cannot_be_scored_says_why_and_stays(seed, tokenizer, documents, error, reason):
    draft, _ = verify(seed, tokenizer, documents, ["mine:00000"], scorer=Failing([error] * 99))
    assert draft.verification.not_verified.startswith(reason)
    assert draft.verification.evidence_gain is None
    assert draft.evidence_ids == ["mine:00000"]


def test_a_score_that_fails_once_is_asked_for_again(seed, tokenizer, documents):
    draft, _ = verify(seed, tokenizer, documents, ["mine:00000"], scorer=Failing([LlmError("timed out")]))
    assert draft.verification.not_verified is None


@pytest.mark.parametrize(
    ("reply", "grades"),
    [('{"relevance": 4, "correctness": 2}', (4, 2)), ('{"relevance": 9, "correctness": 2}', (None, None))],
)
def test_a_judge_grades_the_answer_with_its_evidence(seed, tokenizer, documents, scripted, reply, grades):
    draft = Draft(seed, "Find out who owned it.", ANSWER, documents, ["mine:00000"])
    judge = scripted({"judge": reply})
    verifier = Verifier(VerificationConfig(), tokenizer, 2, 8192)
    judged = asyncio.run(verifier.judge(replace(draft, verification=Verification(closed_book=-1.0)), judge))
    found = judged.verification
    assert (found.judged_relevance, found.judged_correctness) == grades
    assert found.closed_book == -1.0
    asked = judge.calls[0].messages[-1]["content"]
    assert MINE.strip() in asked
    assert ANSWER in asked
    assert FERRY.strip() not in asked
