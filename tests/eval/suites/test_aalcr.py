"""The suite from records to a report, with a judge."""

import pytest

from app.config import AalcrConfig, AalcrJudgeConfig, EvaluateConfig
from app.faults import UserError
from app.storage import Folder
from eval.records import Record, Reply
from eval.report.markdown import render_markdown
from eval.suite import Scoring
from eval.suites.aalcr import AalcrSuite
from tests.eval.aalcr.test_questions import row, written
from tests.eval.completions_double import Answer, CompletionsDouble

SUITE = AalcrSuite()
PUBLISHED = (
    "Assess whether the following CANDIDATE ANSWER is CORRECT or INCORRECT. For the CANDIDATE ANSWER to be correct, it "
    "must be consistent with the OFFICIAL ANSWER.\n\nThe question, for reference only: Which year?\n"
    "The OFFICIAL ANSWER: 1999\nCANDIDATE ANSWER TO ASSESS: In 1999.\n\nReply only with CORRECT or INCORRECT."
)


def record(index, text, task="Legal"):
    facts = {"question": "Which year?", "num_prompt_tokens": 90_000}
    return Record(f"q{index}", task, 95_000, "", facts, ["1999"], Reply(text, "stop", 10, 2, 0, 0.1))


def test_the_published_judge_decides_and_the_figure_is_over_all_questions(tmp_path):
    def judges(body):
        return Answer("CORRECT" if "ASSESS: In 1999" in body["messages"][0]["content"] else "INCORRECT")

    records = [record(0, "In 1999."), record(1, "In 2001."), record(2, "", "Academia")]
    with CompletionsDouble(judges, models=("judge",)) as endpoint:
        judge = AalcrJudgeConfig(url=endpoint.url, model="judge")
        settings = EvaluateConfig(aalcr=AalcrConfig(judge=judge))
        scoring = Scoring("m", settings, records, 0, Folder(str(tmp_path)), lambda line: None)
        judged = SUITE.judged(scoring)
        assert PUBLISHED in [body["messages"][0]["content"] for body in endpoint.asked]
        # A reply without a text needs no judge.
        assert len(endpoint.asked) == 2
    result = SUITE.result(Scoring("m", settings, judged, 0, scoring.folder, lambda line: None))
    assert [(score.task, score.length_tokens, score.score) for score in result.scores][:2] == [
        ("Legal", 131_072, 50.0),
        ("Academia", 131_072, 0.0),
    ]
    text = render_markdown("Evaluation", [SUITE.part(["m"], [result])])
    assert "As published: accuracy 33.3 % of 3." in text
    assert "judge judged." in text
    assert "In 2001." in text


def test_without_a_judge_it_is_refused_before_anything_is_asked(tmp_path):
    with pytest.raises(UserError, match=r"evaluate.aalcr.judge.url: is missing"):
        SUITE.check(EvaluateConfig(aalcr=written(tmp_path, row("1"))))
