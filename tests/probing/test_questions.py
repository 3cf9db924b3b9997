"""Haystacks with many needles: each is asked for as the evaluation asks, and the text is there once."""

import re

import pytest

from app.config import EvaluateConfig
from app.probing.questions import QuestionMaker
from eval.niah import NiahMaker
from eval.samples import Slot

LENGTH, NUM_NEEDLES = 600, 4
VALUE = re.compile(r"\d{7}")


@pytest.fixture(scope="module")
def haystack(tokenizer):
    return QuestionMaker(EvaluateConfig(), tokenizer, 1, LENGTH, NUM_NEEDLES).make(0)


def prompt(haystack, index, tokenizer):
    """Text and one question, without its answer; and the answer."""
    start, first, last = haystack.boundaries[index], *haystack.answers[index]
    ids = haystack.token_ids
    text = ids[: haystack.boundaries[0]].tolist()
    return tokenizer.decode(text + ids[start:first].tolist()), tokenizer.decode(ids[first:last].tolist())


def test_each_needle_is_asked_for_and_its_answer_is_its_value(haystack, tokenizer):
    answers = []
    for index in range(NUM_NEEDLES):
        asked, answer = prompt(haystack, index, tokenizer)
        key = re.search(r"magic number for (\w+) mentioned in the provided text\?", asked)[1]
        sentence = re.search(rf"magic numbers for {key} is: (\d{{7}})\.", asked)
        assert answer.strip() == sentence[1]
        assert asked.endswith(f"The special magic number for {key} mentioned in the provided text is")
        answers.append(answer)
    assert len(set(answers)) == NUM_NEEDLES


def test_needles_stand_from_the_beginning_on(haystack):
    assert haystack.depths_percent == pytest.approx((0, 25, 50, 75), abs=6)


def test_a_question_with_the_text_fits_the_length(haystack):
    longest = max(
        stop - start for start, stop in zip(haystack.boundaries, haystack.boundaries[1:], strict=False)
    )
    assert LENGTH - 120 < haystack.boundaries[0] + longest <= LENGTH


def test_one_needle_is_asked_exactly_as_the_evaluation_asks(tokenizer):
    niah = {"lengths_tokens": [LENGTH], "depths_percent": [0.0]}
    evaluate = EvaluateConfig.model_validate({"niah": niah})
    sample = NiahMaker(evaluate, tokenizer, 1).make(Slot("niah", LENGTH, 0))
    haystack = QuestionMaker(EvaluateConfig(), tokenizer, 1, LENGTH, 1).make(0)
    first, last = haystack.answers[0]
    assert haystack.token_ids[:first].tolist() == sample.token_ids.tolist()
    assert tokenizer.decode(haystack.token_ids[first:last].tolist()).strip() == sample.references[0]


def test_another_trial_and_another_seed_are_other_needles(tokenizer):
    found = [
        QuestionMaker(EvaluateConfig(), tokenizer, seed, LENGTH, 2).make(trial).token_ids.tolist()
        for seed, trial in ((1, 0), (1, 1), (2, 0), (1, 0))
    ]
    assert found[0] == found[3]
    assert len({tuple(ids) for ids in found}) == 3
