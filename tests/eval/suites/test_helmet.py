"""The suite from records to a report."""

from typing import get_args

import pytest

from app.config import EvaluateConfig, HelmetConfig, HelmetLength, HelmetTask
from app.faults import UserError
from app.storage import Folder
from eval.helmet.definitions import LENGTHS_TOKENS, TASKS
from eval.records import Record, Reply
from eval.report.markdown import render_markdown
from eval.suite import Scoring
from eval.suites.helmet import HelmetSuite
from tests.eval.helmet.helmet_files import question, written

SUITE = HelmetSuite()


def record(task, text, references=("Paris",), **facts):
    reply = Reply(text, "stop", 10, 2, 0, 0.1)
    return Record(f"{task}-{text}", task, 8192, "", {"start": ""} | facts, list(references), reply)


def test_the_settings_name_all_tasks_and_lengths():
    assert set(get_args(HelmetTask)) == set(TASKS)
    assert get_args(HelmetLength) == LENGTHS_TOKENS
    assert SUITE.prompts(EvaluateConfig())[0].num_prompts == 400 + 600 + 600 + 300 + 600 + 300


def test_categories_stand_as_published_once_all_their_tasks_are_asked(tmp_path):
    records = [
        record("ruler_niah_mk_2", "Paris"),
        record("kilt_nq", "Paris"),
        record("kilt_nq", "Rome"),
        record("kilt_triviaqa", "Rome"),
        record("kilt_hotpotqa", "Paris"),
        record("kilt_popqa", "Rome"),
        record("msmarco_rerank_psg", "1 > 2", relevance={"1": 1, "2": 0}),
    ]
    settings = EvaluateConfig(helmet=HelmetConfig(lengths_tokens=[8192]))
    scoring = Scoring("m", settings, records, 0, Folder(str(tmp_path)), lambda line: None)
    text = render_markdown("Evaluation", [SUITE.part(["m"], [SUITE.result(scoring)])])
    assert "As published, at 8k tokens: RAG 37.5 %; Re-rank 100.0 %." in text
    assert "three of HELMET's seven categories" in text
    assert "as plain text" in text


def test_the_start_of_the_reply_counts_where_the_model_was_given_it():
    start = "The special magic numbers are"
    assert SUITE.score(record("ruler_niah_mv", "7", ["special"], start=start)) == 1.0
    assert SUITE.score(record("ruler_niah_mv", "7", ["special"])) == 0.0


def test_missing_files_are_a_line_before_anything_is_asked(tmp_path):
    with pytest.raises(UserError, match=r"evaluate.helmet.path: is missing"):
        SUITE.check(EvaluateConfig())
    settings = written(tmp_path, "kilt_nq", [question(1)], [question(7)])
    SUITE.check(EvaluateConfig(helmet=settings))
    longer = settings.model_copy(update={"lengths_tokens": [8192, 16384]})
    with pytest.raises(UserError, match=r"nq-dev-multikilt_1000_k105_dep6.jsonl' can't be read"):
        SUITE.check(EvaluateConfig(helmet=longer))
