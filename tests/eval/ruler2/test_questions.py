import json

import pytest

from app.config import Ruler2Config
from app.faults import UserError
from eval.ruler2.questions import read_questions
from eval.ruler2.scores import TASKS, Match

PROMPT = "Below are some questions.\n\nQuestion 12: Who?\n\nPlease copy the Question 12 from the context."


def row(task, index=0, **changes):
    answer = "B" if TASKS[task] is Match.CHOICE else ["Who?"]
    return {"index": index, "question": PROMPT, "expected_answer": answer, "length": 900} | changes


def written(folder, rows, setup="", **settings):
    """A folder as `ns prepare_data ruler2` writes it: rows by task."""
    for task, of_task in rows.items():
        place = folder / setup / task
        place.mkdir(parents=True)
        (place / "test.jsonl").write_text("".join(json.dumps(each) + "\n" for each in of_task), "utf-8")
        (place / "__init__.py").write_text("")
    return Ruler2Config(path=str(folder), **settings)


def test_all_tasks_of_a_setup_are_read(tmp_path):
    questions = read_questions(written(tmp_path, {task: [row(task), row(task, 7)] for task in TASKS}))
    assert [question.task for question in questions] == [task for task in TASKS for _ in range(2)]
    assert questions[0].prompt == PROMPT
    assert (questions[0].answers, questions[4].answers) == (("Who?",), ("B",))
    assert len({question.sample_id for question in questions}) == 2 * len(TASKS)


def test_setups_of_several_lengths_stand_from_the_shortest(tmp_path):
    short = {"qa_hard": [row("qa_hard", length=3900), row("qa_hard", length=4090)]}
    settings = written(tmp_path, {"qa_hard": [row("qa_hard", length=8000)]}, "model-8192", tasks=["qa_hard"])
    written(tmp_path, short, "model-96")
    questions = read_questions(settings)
    assert [question.setup_tokens for question in questions] == [4090, 4090, 8000]
    assert [question.name for question in questions] == [
        "model-96-qa_hard-00000",
        "model-96-qa_hard-00001",
        "model-8192-qa_hard-00000",
    ]
    limited = settings.model_copy(update={"limit": 1})
    assert [question.name for question in read_questions(limited)] == [
        "model-96-qa_hard-00000",
        "model-8192-qa_hard-00000",
    ]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({}, "holds no task of RULERv2"),
        ({"qa_easy": [row("qa_easy")]}, "test.jsonl' is missing"),
        ({"qa_hard": []}, "holds no row"),
        ({"qa_hard": [row("qa_hard"), {}]}, "row 2 of qa_hard/test.jsonl: question None is not a text"),
        ({"qa_hard": [row("qa_hard", expected_answer="x")]}, "expected_answer 'x' is not what qa_hard has"),
        ({"qa_hard": [row("qa_hard", length="long")]}, "length 'long' is not a number of tokens"),
    ],
)
def test_other_folders_are_refused(tmp_path, rows, message):
    with pytest.raises(UserError) as found:
        read_questions(written(tmp_path, rows, tasks=["qa_hard"]))
    assert message in str(found.value)


def test_a_folder_must_be_named():
    with pytest.raises(UserError, match=r"evaluate.ruler2.path: is missing"):
        read_questions(Ruler2Config())
