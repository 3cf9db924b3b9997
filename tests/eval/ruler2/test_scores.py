"""Expected scores are those of NeMo-Skills' evaluators `ruler2` and `multichoice`, worked out by hand."""

from typing import get_args

import pytest

from app.config import Ruler2Task
from eval.ruler2.scores import TASKS, chosen_letter, score_reply, word_error_rate


def test_the_settings_name_all_tasks():
    assert set(TASKS) == set(get_args(Ruler2Task))


@pytest.mark.parametrize(
    ("task", "reply", "answers", "score"),
    [
        ("mk_niah_basic", "It is 1234567890.", ["1234567890"], 1.0),
        # Two of four numbers, and none of the words of the others.
        ("mv_niah_basic", "11 and 22", ["11", "22", "33", "44"], 0.5),
        # One word of four is wrong.
        ("mk_niah_easy", "who wrote the song", ["Who wrote the book"], 0.75),
        # Five words too many for four of the answer: less than nothing is nothing.
        ("mk_niah_easy", "a b c d e f g h i", ["Who wrote the book"], 0.0),
        # The last paragraph alone, which says one of the four.
        ("mv_niah_medium", "First: one two\n\none three", ["one two"], 0.5),
        ("mv_niah_hard", "First: one two\n\none three", ["one two"], 1.0),
        ("qa_hard", "Paris, I think", ["Lutetia", "Paris"], 1.0),
        # What is copied does not count.
        ("qa_medium", "Document 12:\nParis is old.\n\nRome it is.", ["Paris"], 0.0),
        ("mk_niah_hard", "So it is \\boxed{B}.", ["B"], 1.0),
        ("mk_niah_hard", "So it is B.", ["B"], 0.0),
    ],
)
def test_replies_score_as_published(task, reply, answers, score):
    assert score_reply(task, reply, answers) == pytest.approx(score)


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("\\boxed{A} or rather \\boxed{\\text{C}}", "C"),
        ("\\boxed{b}", "B"),
        ("\\boxed{B or C, not A and}", "A"),
        ("The final answer is **D**", "D"),
        ("**Answer:** C\nThat is all.", "C"),
        ("\\boxed B", None),
        ("Apples", None),
    ],
)
def test_the_letter_of_a_choice_is_read(reply, letter):
    assert chosen_letter(reply) == letter


def test_word_errors_are_counted_for_each_word_of_the_answer():
    assert word_error_rate("a b c", "a b c") == 0.0
    assert word_error_rate("a x c d", "a b c") == pytest.approx(2 / 3)
    assert word_error_rate("", "a b") == 1.0
    assert word_error_rate("a", "") == float("inf")
