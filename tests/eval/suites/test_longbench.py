"""The suite from records to a report."""

import pytest

from app.config import EvaluateConfig
from app.faults import UserError
from app.storage import Folder
from eval.records import Record, Reply
from eval.report.markdown import render_markdown
from eval.suite import Scoring
from eval.suites.longbench import LongbenchSuite

SUITE = LongbenchSuite()


def record(index, text, task="easy", words="short", num_prompt_tokens=900, num_cut_tokens=0):
    reply = None if text is None else Reply(text, "stop", 10, 2, 0, 0.1)
    facts = {
        "words": words,
        "num_prompt_tokens": num_prompt_tokens,
        "num_cut_tokens": num_cut_tokens,
        "chance": 0.25,
    }
    return Record(f"q{index}", task, 1000, "", facts, ["B"], reply, None if text is not None else "away")


def result_of(folder, *records):
    scoring = Scoring("m", EvaluateConfig(), records, 0, Folder(str(folder)), lambda line: None)
    return SUITE.result(scoring)


def test_scores_stand_by_difficulty_and_length_and_in_the_published_rows(tmp_path):
    result = result_of(
        tmp_path,
        record(0, "The correct answer is (B)"),
        record(1, "The correct answer is (C)"),
        record(2, "B, I think.", "hard", "long", 150_000, 30_000),
    )
    assert [(score.task, score.length_tokens, score.score, score.chance) for score in result.scores] == [
        ("easy", 1024, 50.0, 25.0),
        ("hard", 262_144, 0.0, 25.0),
    ]
    text = render_markdown("Evaluation", [SUITE.part(["m"], [result])])
    assert (
        "As published: overall 33.3 % of 3; easy 50.0 % of 2; hard 0.0 % of 1; short 50.0 % of 2; long 0.0 % of 1."
        in text
    )
    assert "Prompts of more than 120,000 tokens, which lost their middle: 1." in text
    assert "and score 0: 1." in text


def test_no_published_row_while_requests_have_failed(tmp_path):
    result = result_of(tmp_path, record(0, "The correct answer is (B)"), record(1, None))
    assert not any(remark.startswith("As published") for remark in result.remarks)


def test_without_its_file_it_is_refused_before_anything_is_asked():
    with pytest.raises(UserError, match=r"evaluate.longbench.path: is missing"):
        SUITE.check(EvaluateConfig())
