import pytest

from eval.mine.metrics import chosen_letter, score_own, word_f1

CHOICES = ["a whale", "a shark", "a seal"]


@pytest.mark.parametrize(
    ("metric", "reply", "answers", "score"),
    [
        ("exact", ' "The Pequod." ', ["the pequod"], 1.0),
        ("exact", "It is the Pequod", ["the Pequod"], 0.0),
        ("contains", "It is the Pequod, I think.", ["Rachel", "the pequod"], 1.0),
        ("contains", "Not known", ["no"], 0.0),
        ("number", "There are 1,200 of them.", ["1200"], 1.0),
        ("number", "There are 12 of them.", ["1200"], 0.0),
        ("f1", "the white whale", ["a whale"], 2 / 3),
        ("regex", "on 4 July 1854", [r"\b18\d\d\b"], 1.0),
        ("regex", "on 4 July", [r"\b18\d\d\b"], 0.0),
    ],
)
def test_metrics(metric, reply, answers, score):
    assert score_own(metric, reply, answers) == pytest.approx(score)


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("B", "B"),
        ("**B**", "B"),
        ("b) a shark", "B"),
        ("The correct answer is (B).", "B"),
        ("The answer isn't A but the answer is B", "B"),
        ("It was a shark.", "B"),
        ("A shark", "B"),
        ("I think so", None),
        ("D", None),
        ("a whale or a shark", None),
        ("", None),
    ],
)
def test_what_a_reply_chooses(reply, letter):
    assert chosen_letter(reply, CHOICES) == letter


def test_a_choice_is_right_by_letter_or_text():
    assert score_own("multiple_choice", "B", ["a shark"], CHOICES) == 1.0
    assert score_own("multiple_choice", "B", ["B"], CHOICES) == 1.0
    assert score_own("multiple_choice", "C", ["B"], CHOICES) == 0.0


def test_words_are_counted_as_often_as_both_have_them():
    assert word_f1("no no", "no") == pytest.approx(2 / 3)
    assert word_f1("nothing", "all") == 0.0
