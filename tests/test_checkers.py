"""Checkers: the right answer in all the words that people give it, and no wrong one."""

import pytest

from app.checkers import list_in, numbers_in, score_reply, score_turns
from app.schema import TaskData


@pytest.mark.parametrize(
    "reply",
    [
        "3, 1, 2",
        "3,1,2",
        "3 1 2",
        "[3, 1, 2]",
        "The order is 3 → 1 → 2.",
        "The right order of the 3 passages is: 3 -> 1 -> 2",
        "**3**, **1** and **2**",
        "Document 3, document 1, then document 2",
        "1. 3\n2. 1\n3. 2",
        "First I compared 1 with 2. So the answer is (3, 1, 2).",
    ],
)
def test_an_order_is_read_in_many_forms(reply):
    assert score_reply(reply, [3, 1, 2], "ordered_list") == 1.0


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("1, 3, 2", 2 / 3),
        ("2, 1, 3", 0.0),
        ("3, 1", 0.0),
        ("3, 1, 2, 4", 0.0),
        ("3, 1, 2, 2", 0.0),
        ("I cannot tell.", 0.0),
        ("", 0.0),
    ],
)
def test_an_order_with_faults_scores_less(reply, score):
    assert score_reply(reply, [3, 1, 2], "ordered_list") == pytest.approx(score)


@pytest.mark.parametrize(
    "reply",
    [
        "4",
        "4.",
        "Four",
        "It stands in four of them.",
        "The word stands in 4 documents (1, 2, 5 and 9).",
        "I see it in 1, 2, 5 and 9, so 4",
        "**Answer: 4**",
        "The answer is 4, as documents 1, 2, 5, 9 have it.",
        "4 documents: 1, 2, 5 and 9",
        "4.0",
    ],
)
def test_a_number_is_read_in_many_forms(reply):
    assert score_reply(reply, 4, "number") == 1.0


@pytest.mark.parametrize("reply", ["5", "", "none", "14", "4.5", "-4", "It is 5 (not 4).", "x4"])
def test_another_number_is_wrong(reply):
    assert score_reply(reply, 4, "number") == 0.0


def test_thousands_are_one_number_and_lists_are_several():
    assert numbers_in("1,234 and 5,6 and 7.") == [1234.0, 5.0, 6.0, 7.0]
    assert score_reply("12,345 bricks", 12345, "number") == 1.0


@pytest.mark.parametrize(
    "reply", ["2, 5", "5 and 2", "Documents 2 and 5.", "{2, 5}", "In document 5 and document 2"]
)
def test_a_set_has_no_order(reply):
    assert score_reply(reply, [2, 5], "set") == 1.0


@pytest.mark.parametrize(("reply", "score"), [("2", 0.5), ("2, 5, 7", 2 / 3), ("7", 0.0), ("", 0.0)])
def test_a_set_that_misses_or_adds_scores_less(reply, score):
    assert score_reply(reply, [2, 5], "set") == pytest.approx(score)


@pytest.mark.parametrize("reply", ["QX-441", "It is “QX-441”.", "with **qx-441**", "the code\nQX‑441"])
def test_a_text_is_found_in_a_reply(reply):
    assert score_reply(reply, "QX-441", "exact") == 1.0


@pytest.mark.parametrize("reply", ["QX-4411", "AQX-441", "QX-44", "", "QX 441"])
def test_a_part_of_a_longer_word_is_not_it(reply):
    assert score_reply(reply, "QX-441", "exact") == 0.0


def test_facts_count_by_their_share():
    assert score_reply("Amber, and on 3 May 1801.", ["3 May 1801", "amber"], "facts") == 1.0
    assert score_reply("Amber.", ["3 May 1801", "amber"], "facts") == 0.5


def test_each_turn_has_its_key():
    task = TaskData(["amber", "40"], "text", "turns", 1, 2)
    assert score_turns(["Amber.", "40 trees."], task) == 1.0
    assert score_turns(["40 trees.", "Amber."], task) == 0.0
    assert score_turns(["Amber."], task) == 0.5
    assert score_turns(["3, 1"], TaskData([3, 1], "ordered_list", "ordered_list", 1, 2)) == 1.0
    assert score_turns([], TaskData([3, 1], "ordered_list", "ordered_list", 1, 2)) == 0.0


def test_of_several_lists_the_last_of_the_longest_counts():
    assert list_in("At first 1, 2, 3. No: 3, 2, 1") == [3, 2, 1]
