import json

import pytest

from app.config import MineConfig
from app.faults import UserError
from eval.mine.questions import read_questions


def written(folder, *rows):
    path = folder / "questions.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return MineConfig(path=str(path))


def test_contexts_come_inline_by_file_or_from_the_settings(tmp_path):
    (tmp_path / "book.txt").write_text("The ship sank.", "utf-8")
    (tmp_path / "all.txt").write_text("A law.", "utf-8")
    settings = written(
        tmp_path,
        {"question": "What sank?", "answer": "the ship", "context_file": "book.txt"},
        {"question": "Which one?", "answer": "a law"},
        {"question": "Who?", "answer": ["Ann", "Anna"], "context": "Ann did.\u2028It was she."},
        {"question": "When?", "answer": "never", "context_file": "book.txt"},
    )
    found = read_questions(settings.model_copy(update={"context": str(tmp_path / "all.txt")}))
    # Those on one context are side by side, and otherwise in the file's order.
    assert [(each.name, each.context) for each in found] == [
        ("q00001", "The ship sank."),
        ("q00004", "The ship sank."),
        ("q00002", "A law."),
        ("q00003", "Ann did.\u2028It was she."),
    ]
    assert found[3].answers == ("Ann", "Anna")
    assert [each.metric for each in found] == ["contains"] * 4


def test_later_turns_have_the_earlier_ones_with_right_answers_before_them(tmp_path):
    turns = [
        {"question": "Where?", "answer": "here"},
        {"question": "How many?", "answer": 3, "metric": "number"},
    ]
    first, second = read_questions(written(tmp_path, {"id": "talk", "turns": turns, "context": "c"}))
    assert (first.name, second.name) == ("talk-turn1", "talk-turn2")
    assert [(turn.question, turn.answer) for turn in second.before] == [("Where?", "here")]
    assert (second.answers, second.metric) == (("3",), "number")


def test_a_changed_question_is_another_sample_and_the_others_keep_their_ids(tmp_path):
    rows = [{"id": "a/1", "question": "x?", "answer": "1"}, {"id": "b", "question": "y?", "answer": "2"}]
    before = [each.sample_id for each in read_questions(written(tmp_path, *rows))]
    assert before[0].startswith("a_1-")
    rows[0]["answer"] = "3"
    after = [
        each.sample_id for each in read_questions(written(tmp_path, *rows, {"question": "z?", "answer": "4"}))
    ]
    assert after[0] != before[0]
    assert after[1] == before[1]


def test_a_limit_takes_the_first(tmp_path):
    settings = written(tmp_path, *({"question": f"{n}?", "answer": str(n)} for n in range(5)))
    found = read_questions(settings.model_copy(update={"limit": 2}))
    assert [each.question for each in found] == ["0?", "1?"]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"question": "x?"}, "row 1 of questions.jsonl: answer None is not a text"),
        ({"question": "x?", "answer": ["y", " "]}, "is not a text or a list of texts"),
        ({"question": "x?", "answer": True}, "answer True is not a text"),
        ({"answer": "y"}, "question None is not a text"),
        ({"question": "x?", "answer": "y", "metrik": "f1"}, "metrik is not known; known: answer"),
        ({"question": "x?", "answer": "y", "metric": "bleu"}, "metric 'bleu' is not known; known: exact"),
        ({"question": "x?", "answer": "y", "metric": "number"}, "'y' is not a whole number"),
        ({"question": "x?", "answer": "(", "metric": "regex"}, "is no regular expression"),
        (
            {"question": "x?", "answer": "C", "metric": "multiple_choice", "choices": ["a", "b"]},
            "none of choices",
        ),
        ({"question": "x?", "answer": "y", "context": "a", "context_file": "b"}, "context and context_file"),
        ({"question": "x?", "answer": "y", "context_file": "away.txt"}, "context_file: .*holds no text"),
        ({"question": "x?", "answer": "y", "turns": []}, "question and turns"),
        ({"turns": []}, "turns is not a list"),
        (["x"], "is not an object"),
    ],
)
def test_a_bad_row_is_named(tmp_path, row, words):
    with pytest.raises(UserError, match=words):
        read_questions(written(tmp_path, row))


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(UserError, match=r"evaluate.mine.path: is missing"):
        read_questions(MineConfig())
    with pytest.raises(UserError, match="can't be read"):
        read_questions(MineConfig(path=str(tmp_path / "away.jsonl")))
    (tmp_path / "bad.jsonl").write_text("{\n", "utf-8")
    with pytest.raises(UserError, match=r"row 1 of bad.jsonl: is not JSON"):
        read_questions(MineConfig(path=str(tmp_path / "bad.jsonl")))
    same = {"id": "a", "question": "x?", "answer": "1"}
    with pytest.raises(UserError, match="'a' stands there twice"):
        read_questions(written(tmp_path, same, same))
    (tmp_path / "none.jsonl").write_text("\n", "utf-8")
    with pytest.raises(UserError, match="holds no question"):
        read_questions(MineConfig(path=str(tmp_path / "none.jsonl")))
