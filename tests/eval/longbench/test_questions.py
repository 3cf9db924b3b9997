import json

import pytest

from app.config import LongbenchConfig
from app.faults import UserError
from eval.longbench.questions import read_questions


def row(name, **changes):
    values = {
        "_id": name,
        "domain": "Single-Document QA",
        "sub_domain": "Literary",
        "difficulty": "easy",
        "length": "short",
        "question": "Which month? ",
        "choice_A": "May",
        "choice_B": "June",
        "choice_C": "July",
        "choice_D": "August",
        "answer": "A",
        "context": "The ship left the harbour in May. " * 10,
    }
    return values | changes


def written(folder, *rows, is_list=True, **settings):
    path = folder / "data.json"
    path.write_text(json.dumps(rows) if is_list else "\n".join(map(json.dumps, rows)))
    return LongbenchConfig(path=str(path), **settings)


@pytest.mark.parametrize("is_list", [True, False])
def test_the_published_file_is_read_as_list_or_lines(tmp_path, is_list):
    [first, second] = read_questions(
        written(tmp_path, row("a"), row("b", answer="D", difficulty="hard"), is_list=is_list)
    )
    assert (first.name, first.choices, first.answer) == ("a", ("May", "June", "July", "August"), "A")
    assert (second.difficulty, second.answer) == ("hard", "D")


def test_lengths_and_limit_choose_questions_and_leave_their_ids(tmp_path):
    rows = [row("a"), row("b", length="long"), row("c", length="long")]
    everything = read_questions(written(tmp_path, *rows))
    [chosen] = read_questions(written(tmp_path, *rows, lengths=["long"], limit=1))
    assert chosen.sample_id == everything[1].sample_id
    assert len({question.sample_id for question in everything}) == 3


def test_a_changed_question_is_another_sample(tmp_path):
    [before] = read_questions(written(tmp_path, row("a")))
    [after] = read_questions(written(tmp_path, row("a", choice_D="September")))
    assert before.sample_id != after.sample_id


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row("a"), row("a")], "_id 'a' stands there twice"),
        ([row("a", answer="E")], "row 1 of data.json: answer 'E' is not known; known: A, B, C, D"),
        ([row("a"), row("b", choice_C=None)], "row 2 of data.json: choice_C None is not a text"),
        ([row("a", length="huge")], "length 'huge' is not known; known: short, medium, long"),
        (["text"], "row 1 of data.json: is not an object"),
        ([], "holds no question of the lengths short, medium, long"),
    ],
)
def test_other_data_are_refused_by_row(tmp_path, rows, message):
    with pytest.raises(UserError) as found:
        read_questions(written(tmp_path, *rows))
    assert message in str(found.value)


def test_files_that_are_not_there_or_not_json_are_a_line(tmp_path):
    with pytest.raises(UserError, match=r"evaluate.longbench.path: is missing"):
        read_questions(LongbenchConfig())
    with pytest.raises(UserError, match="can't be read"):
        read_questions(LongbenchConfig(path=str(tmp_path / "none.json")))
    (tmp_path / "data.json").write_text("[{]")
    with pytest.raises(UserError, match="neither a JSON list nor JSONL"):
        read_questions(LongbenchConfig(path=str(tmp_path / "data.json")))
