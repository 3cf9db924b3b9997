import re

import pytest

from app.records.gate import NiahScore
from app.run import Run
from app.tokens import Tokenizer
from eval.evaluation import Evaluation
from eval.gate import describe_gate, gate_of, measure_gate, read_gate, refusal_of
from eval.suite import Endpoint
from tests.bootstrap.loop_settings import loop_config
from tests.eval.completions_double import Answer, CompletionsDouble
from tests.record_makers import gate_record

TOKENIZER = Tokenizer("bundled:smollm2-135m-instruct")
ONE_STAGE = (
    *("--train.stages.0.max_seq_tokens", "1024", "--train.stages.0.batch_tokens", "1024"),
    *("--evaluate.niah.lengths_tokens", "[512, 1024, 10240, 20480, 40960]"),
    *("--evaluate.niah.depths_percent", "[0, 25, 75, 100]"),
)
RECORD = gate_record(62.5, before=44.0, after=40.0, length_tokens=10240)


def test_each_stage_is_asked_at_the_longest_length_that_is_new(tmp_path):
    config = loop_config(tmp_path, "--evaluate.niah.lengths_tokens", "[4096, 10000, 20480, 30000, 40000]")
    gates = [gate_of(config, index) for index in range(3)]
    assert [gate.niah_tokens for gate in gates] == [10000, 20480, 40000]
    assert [gate.models for gate in gates] == [["base", "10k"], ["base", "20k"], ["base", "40k"]]


def test_only_what_has_a_threshold_is_asked(tmp_path):
    niah = gate_of(loop_config(tmp_path, "--bootstrap.gate", "{min_niah_percent: 0}"), 0)
    assert (niah.niah_tokens, niah.has_short, niah.models) == (10240, False, ["10k"])
    short = gate_of(loop_config(tmp_path, "--bootstrap.gate", "{max_short_points_lost: 3}"), 0)
    assert (short.niah_tokens, short.has_short, short.models) == (None, True, ["base", "10k"])
    assert gate_of(loop_config(tmp_path, "--bootstrap.gate", "{}"), 0) is None


@pytest.mark.parametrize(
    ("thresholds", "expected"),
    [
        ("{min_niah_percent: 62.5, max_short_points_lost: 4}", None),
        ("{min_niah_percent: 62.6}", "bootstrap.gate.min_niah_percent: stage 10k finds 62.5 %"),
        ("{max_short_points_lost: 3.9}", "bootstrap.gate.max_short_points_lost: stage 10k loses 4.0 points"),
    ],
)
def test_thresholds(tmp_path, thresholds, expected):
    refusal = refusal_of(loop_config(tmp_path, "--bootstrap.gate", thresholds), "10k", RECORD)
    assert refusal is None if expected is None else refusal.startswith(expected)


def test_the_line():
    assert describe_gate("10k", RECORD) == (
        "gate 10k: needles at 10,240 tokens 62.5 %; short tasks 40.0 %, +4.0 points lost"
    )


def reads_the_first_half(body):
    """Finds the needles that stand there."""
    text = TOKENIZER.decode(body["prompt"])
    found = list(re.finditer(r"magic numbers for [^.]* is: (\w+)", text))
    return Answer(found[0][1] if found[0].start() < len(text) / 2 else "no idea")


def test_scores_are_measured_once_and_shared_with_the_evaluation(tmp_path, monkeypatch):
    monkeypatch.setattr("eval.evaluation.cache_dir", lambda: tmp_path / "cache")
    config = loop_config(
        tmp_path,
        *ONE_STAGE,
        *("--bootstrap.gate", "{min_niah_percent: 50}"),
        *("--evaluate.models", "{10k: {tokenizer: 'bundled:smollm2-135m-instruct'}}"),
        *("--evaluate.suites", "[niah]"),
    )
    run = Run(config.run_dir)
    gate = gate_of(config, 0)
    assert gate.niah_tokens == 1024
    assert read_gate(config, run, gate) is None
    with CompletionsDouble(reads_the_first_half, models=("10k",)) as endpoint:
        evaluation = Evaluation(config, run, Endpoint(endpoint.url, None), lambda line: None)
        record = measure_gate(config, run, gate, evaluation)
        assert len(endpoint.asked) == 4
        evaluation.run()
        # The other length that the model reads.
        assert len(endpoint.asked) == 8
    assert record.niah == NiahScore(model="10k", length_tokens=1024, percent=50.0)
    assert read_gate(config, run, gate) == record
    other = loop_config(tmp_path, *ONE_STAGE, "--seed", "9", "--bootstrap.gate", "{min_niah_percent: 50}")
    assert read_gate(other, run, gate_of(other, 0)) is None
