"""The suite from records to a report."""

from app.config import EvaluateConfig
from app.storage import Folder
from eval.records import Record, Reply
from eval.report.markdown import render_markdown
from eval.ruler2.scores import TASKS
from eval.suite import Scoring
from eval.suites.ruler2 import Ruler2Suite

SUITE = Ruler2Suite()


def record(task, text, answer):
    facts = {"setup_tokens": 8100, "num_prompt_tokens": 8300}
    return Record(f"{task}-{text}", task, 9000, "", facts, [answer], Reply(text, "stop", 10, 2, 0, 0.1))


def test_the_mean_of_all_tasks_stands_under_the_length_of_the_setup(tmp_path):
    records = [record(task, "\\boxed{B}", "B") for task in TASKS] + [record("qa_hard", "no", "yes")]
    scoring = Scoring("m", EvaluateConfig(), records, 0, Folder(str(tmp_path)), lambda line: None)
    result = SUITE.result(scoring)
    # One of two replies to qa_hard is right.
    assert (result.scores[-1].length_tokens, round(result.scores[-1].score, 2)) == (8192, round(1150 / 12, 2))
    text = render_markdown("Evaluation", [SUITE.part(["m"], [result])])
    assert "RULERv2" in text
    assert "the mean of all 12 tasks" in text
