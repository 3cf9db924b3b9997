import json
import random

import pytest

from eval.short.bundled import DATA, LETTERS, score_arithmetic, score_facts, score_instructions, score_reading
from eval.short.instructions import CHECKS, holds, phrase
from tests.eval.short.questions import MAKERS, write


def questions(name):
    return [json.loads(line) for line in (DATA / f"{name}.jsonl").read_text("utf-8").splitlines()]


def test_the_files_are_what_the_program_makes(tmp_path):
    write(tmp_path)
    for name in MAKERS:
        assert (DATA / f"{name}.jsonl").read_text("utf-8") == (tmp_path / f"{name}.jsonl").read_text("utf-8")


@pytest.mark.parametrize("name", MAKERS)
def test_questions_are_whole_and_differ(name):
    asked = questions(name)
    assert 50 <= len(asked) <= 120
    assert len({question["prompt"] for question in asked}) == len(asked)
    assert not any("{" in question["prompt"] for question in asked)


def test_arithmetic_is_right():
    for question in questions("arithmetic"):
        text = question["prompt"].removeprefix("Question: ").partition("?")[0]
        if text.startswith("What is"):
            result = eval(text.removeprefix("What is").replace("times", "*"))
        else:
            boxes, each, sold = (int(word) for word in text.split() if word.isdigit())
            result = boxes * each - sold
        assert question["answer"] == str(result)
        assert result >= 0


def test_answers_of_readings_stand_in_them_among_others_of_their_kind():
    for question in questions("reading"):
        text, _, asked = question["prompt"].partition("\n\n")
        assert question["answer"] in text
        assert question["answer"] not in asked


def test_letters_are_spread_and_name_the_right_choice():
    from eval.recall.facts import load_facts

    right = {fact.question: fact.answer for fact in load_facts()}
    letters = []
    for question in questions("facts"):
        asked = question["prompt"].removeprefix("Question: ").partition("\n")[0]
        assert question["choices"][LETTERS.index(question["answer"])] == right[asked]
        assert len(set(question["choices"])) == 4
        letters.append(question["answer"])
    assert all(letters.count(letter) >= 15 for letter in LETTERS)


@pytest.mark.parametrize(
    ("kind", "number", "text", "good", "bad"),
    [
        ("max_words", 3, "", "one two three", "one two three four"),
        ("max_words", 3, "", "- don't stop well-known…", "水很深。好"),
        ("min_words", 3, "", "one two three", "one two"),
        ("min_words", 4, "", "水很深。好", "水很深。"),
        ("num_lines", 2, "", "one\ntwo", "one\n\ntwo"),
        ("num_lines", 2, "", "one\ntwo\n", "one"),
        ("num_bullets", 2, "", "Points:\n- one\n- two", "- one\n* two"),
        ("starts_with", 0, "Once", "once upon", "Oncela"),
        ("ends_with", 0, "The end.", "So it was. The end.\n", "The end. Really."),
        ("starts_with", 0, "Once", "Once从前", "“Once upon"),
        ("contains", 2, "tea", "Tea, or tea", "tea and teapots"),
        ("contains", 1, "tea", "喝tea吧", "喝茶吧"),
        ("avoids", 0, "the", "these rivers", "Of the river"),
        ("lowercase", 0, "", "rivers run, 3 of them", "rivers Run"),
        ("uppercase", 0, "", "RIVERS RUN", "RIVERS Run"),
        ("no_commas", 0, "", "one and two", "one, two"),
        ("no_commas", 0, "", "一。二", "一，二"),
        ("quoted", 0, "", '"rivers"', '"rivers" run'),
        ("json_keys", 0, "name,reason", '{"name": 1, "reason": 2}', '{"name": 1}'),
        (
            "json_keys",
            0,
            "name,reason",
            '```json\n{"name": 1, "reason": 2}\n```',
            'Here: {"name": 1, "reason": 2}',
        ),
        ("json_keys", 0, "name,reason", '{"reason": [], "name": {}}', '["name", "reason"]'),
        ("title", 0, "", "<<Rivers>>\nThey run.", "<Rivers>\nThey run."),
    ],
)
def test_checks_tell_what_is_followed(kind, number, text, good, bad):
    check = {"kind": kind, "number": number, "text": text}
    assert holds(check, good)
    assert not holds(check, bad)
    assert not holds(check, " \n")


def test_every_kind_is_asked_and_said():
    asked = questions("instructions")
    drawn = [check for question in asked for check in question["checks"]]
    assert {check["kind"] for check in drawn} == set(CHECKS)
    for question in asked:
        assert all(phrase(check) in question["prompt"] for check in question["checks"])
        for check in question["checks"]:
            assert not check["number"] or str(check["number"]) in phrase(check)
            assert all(part in phrase(check) for part in check["text"].split(","))
    assert sum(len(question["checks"]) == 2 for question in asked) == 20


def test_kinds_asked_together_are_known():
    assert all(other in CHECKS for kind in CHECKS.values() for other in kind.goes_with)
    assert all(name not in kind.goes_with for name, kind in CHECKS.items())
    check = CHECKS["contains"].draw(random.Random(0))
    assert check["kind"] == "contains"


def test_instructions_are_scored_by_question_and_by_instruction():
    document = {
        "checks": [
            {"kind": "lowercase", "number": 0, "text": ""},
            {"kind": "max_words", "number": 2, "text": ""},
        ]
    }
    assert score_instructions(document, ["so it is"]) == {"acc": 0.0, "instruction_acc": 0.5}
    assert score_instructions(document, ["<think>One Two Three</think>\nit is"]) == {
        "acc": 1.0,
        "instruction_acc": 1.0,
    }


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        (" 1,234", 1),
        ("12 + 1222 = 1234.", 1),
        ("1234\n", 1),
        ("1235", 0),
        ("", 0),
        ("1234 or 5", 0),
        ("-1234", 0),
    ],
)
def test_the_last_number_counts(reply, score):
    assert score_arithmetic({"answer": "1234"}, [reply]) == {"acc": score}


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("B", 1),
        (" b)", 1),
        ("B. Addis Ababa", 1),
        ("The correct answer is: B", 1),
        ("Answer: (B)", 1),
        ("It is Addis Ababa.", 1),
        ("A", 0),
        ("A city called Addis Ababa", 1),
        ("Cairo or Addis Ababa", 0),
        ("Berlin", 0),
        ("", 0),
    ],
)
def test_a_letter_or_the_only_choice_counts(reply, score):
    document = {"answer": "B", "choices": ["Cairo", "Addis Ababa", "Oslo", "Berlin"]}
    assert score_facts(document, [reply]) == {"acc": score}


@pytest.mark.parametrize(
    ("reply", "score"), [("\n anna.", 1), ("It was Anna", 1), ("Hannah", 0), ("No.\nAnna", 0), ("", 0)]
)
def test_the_first_line_of_a_reading_counts(reply, score):
    assert score_reading({"answer": "Anna"}, [reply]) == {"acc": score}
