import random
import re

from eval.nolima.associations import LANDMARKS, draw_association, without_names


def words(text):
    return set(re.findall(r"\w+", text.lower()))


def test_no_needle_shares_a_word_of_content_with_its_question():
    for seed in range(200):
        for kind in ("city", "country"):
            drawn = draw_association(random.Random(seed), kind, 3)
            assert drawn.place in drawn.question
            for sentence in (drawn.needle, *drawn.distractors):
                assert not words(sentence) & (words(drawn.question) - {"has", "the", "to"})
            assert drawn.answer in drawn.needle
            assert not any(drawn.answer in each for each in drawn.distractors)


def test_only_one_landmark_is_in_the_place():
    for field in (0, 1):
        places = [both[field] for both in LANDMARKS.values()]
        assert len(set(places)) == len(places)


def test_sentences_with_names_are_left_out_and_no_others():
    text = "The sea was calm. Berlin was far. Stuart slept. They sailed on to the north."
    assert without_names(text) == "The sea was calm. They sailed on to the north."
