"""The suite from questions to a report, with a judge."""

import json

import pytest

from app.config import EvaluateConfig, JudgeConfig, MineConfig
from app.faults import UserError
from app.storage import Folder
from eval.records import Record, Reply
from eval.report.markdown import render_markdown
from eval.report.section import render_section
from eval.suite import Scoring
from eval.suites.mine import MineSuite
from tests.eval.completions_double import Answer, CompletionsDouble

SUITE = MineSuite()


def record(index, text, metric="contains", references=("May",), **facts):
    reply = None if text is None else Reply(text, "stop", 10, 2, 0, 0.1)
    facts = {"metric": metric, "question": f"When {index}?", "choices": [], "num_prompt_tokens": 900, **facts}
    error = "away" if text is None else None
    return Record(f"q{index}", "questions", 1000, "", facts, list(references), reply, error)


def scoring(folder, records, settings=None):
    return Scoring("m", settings or EvaluateConfig(), records, 0, Folder(str(folder)), lambda line: None)


def judged_by(url):
    return EvaluateConfig(mine=MineConfig(judge=JudgeConfig(url=url, model="judge")))


def test_scores_stand_by_length_with_counts_chance_and_answers(tmp_path):
    choices = {"choices": ["May", "June"], "chance": 0.5}
    records = [
        record(0, "In May.", chance=0.0),
        record(1, "In June.", chance=0.0),
        record(2, "B", "multiple_choice", ["B"], num_prompt_tokens=5000, **choices),
    ]
    result = SUITE.result(scoring(tmp_path, records))
    assert [
        (score.length_tokens, score.score, score.num_samples, score.chance) for score in result.scores
    ] == [
        (1024, 50.0, 2, 0.0),
        (8192, 100.0, 1, 50.0),
    ]
    assert result.scores[0].interval is not None
    assert (result.answers[2].wanted, result.answers[2].score) == ("B. June", 100.0)
    part = SUITE.part(["m"], [result])
    text = render_markdown("Evaluation", [part])
    assert "In June." in text
    assert "In June." in render_section("Evaluation", [part])
    assert part.csv_files["mine.csv"].startswith("model,task,length_tokens,score_percent")


def test_a_failed_request_leaves_a_gap(tmp_path):
    [score] = SUITE.result(scoring(tmp_path, [record(0, "May"), record(1, None)])).scores
    assert (score.score, score.interval, score.num_samples) == (None, None, 2)


def test_a_judge_is_asked_once_for_each_reply(tmp_path):
    def judges(body):
        text = body["messages"][0]["content"]
        return Answer("<think>wrong?</think>It says so.\nright" if "In {answer} May" in text else "Wrong.")

    records = [record(0, "In {answer} May", "judge"), record(1, "In June", "judge"), record(2, " ", "judge")]
    with CompletionsDouble(judges, models=("judge",)) as endpoint:
        asked = scoring(tmp_path, records, judged_by(endpoint.url))
        judged = SUITE.judged(asked)
        assert [SUITE.score(each) for each in judged] == [1.0, 0.0, 0.0]
        assert "Right answer: May" in endpoint.asked[0]["messages"][0]["content"]
        assert [SUITE.score(each) for each in SUITE.judged(asked)] == [1.0, 0.0, 0.0]
        # A reply without a text needs no judge.
        assert len(endpoint.asked) == 2
    back = SUITE.read_back(records[0], asked.settings, asked.folder)
    assert back.facts["judged"] == 1.0


def test_a_verdict_that_cannot_be_read_is_a_gap_and_asked_again(tmp_path):
    says = ["I cannot tell."]
    with CompletionsDouble(lambda body: Answer(says[-1]), models=("judge",)) as endpoint:
        asked = scoring(tmp_path, [record(0, "In May", "judge")], judged_by(endpoint.url))
        result = SUITE.result(scoring(tmp_path, SUITE.judged(asked), asked.settings))
        assert result.scores[0].score is None
        assert "1 replies have no verdict that could be read" in result.remarks[0]
        says.append("partly")
        assert SUITE.score(SUITE.judged(asked)[0]) == 0.5


def test_a_judge_that_is_not_named_is_missed_before_anything_is_asked(tmp_path):
    path = tmp_path / "q.jsonl"
    path.write_text(json.dumps({"question": "x?", "answer": "y", "metric": "judge"}), "utf-8")
    with pytest.raises(UserError, match=r"evaluate.mine.judge.url: is missing"):
        SUITE.check(EvaluateConfig(mine=MineConfig(path=str(path))))
