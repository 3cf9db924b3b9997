import json

import pytest

from app.bootstrap.status import describe_status
from app.cli import main
from app.faults import UserError
from app.progress.attempts import ATTEMPTS_DIR
from app.run import ASKED_FILE, Run
from tests.bootstrap.loop_settings import loop_config
from tests.record_makers import corpus_record, dataset_record, gate_record, index_record, stage_record

NOW_SEC = 100_000.0


@pytest.fixture
def run(tmp_path) -> Run:
    config = loop_config(tmp_path)
    run = Run(config.run_dir)
    run.write_config(config)
    return run


def write_attempt(run: Run, step: str, ago_sec: float, outcome: str = "running", line: str = "") -> None:
    started = NOW_SEC - 4000
    values = {"step": step, "started_sec": started, "seen_sec": NOW_SEC - ago_sec, "interval_sec": 60.0}
    payload = json.dumps(values | {"outcome": outcome, "line": line}).encode()
    (run.folder / ATTEMPTS_DIR).write_bytes(f"{started}-{step.replace(' ', '-')}.json", payload)


def status(run: Run) -> dict[str, str]:
    """Step → what is said of it."""
    first, *lines = describe_status(run.folder.uri, NOW_SEC).splitlines()
    assert first == run.folder.uri
    return {line[2:16].strip(): line[17:] for line in lines}


def test_a_run_that_has_just_begun(run):
    write_attempt(run, "corpus", 12, line="corpus: 3 of 9 units")
    assert status(run) == {
        "corpus": "working for 1h 06m, last sign 12s ago: corpus: 3 of 9 units",
        "index": "not begun",
        "dataset": "not begun",
        "train 10k": "not begun",
        "train 20k": "not begun",
        "train 40k": "not begun",
        "evaluation": "not begun",
        "report": "not begun",
    }


def test_what_is_complete_killed_and_stopped(run):
    run.corpus.complete(corpus_record(num_documents=206, num_tokens=1_100_000, num_passages=4715))
    write_attempt(run, "corpus", 3900, "done", "said before")
    run.index.complete(index_record(num_vectors=4715, recall_at_10=0.987))
    run.dataset.complete(dataset_record(num_examples=14, num_tokens=83183, num_rejects=5))
    facts = {"max_seq_tokens": 10240, "num_tokens": 20480, "losses": [3.0, 2.5]}
    run.stage("10k").complete(stage_record("10k", **facts))
    gate_record(66.7, before=None, length_tokens=10240).write(run.gates, "10k.json")
    write_attempt(run, "train 20k", 600, line="20k step 3/9")
    write_attempt(run, "evaluate", 50, "failed", "serve.port: 8000 can't be opened")
    assert status(run) == {
        "corpus": "complete: 206 documents, 1,100,000 tokens, 4,715 passages",
        "index": "complete: 4,715 vectors, recall@10 0.99",
        "dataset": "complete: 14 examples, 83,183 tokens, 5 rejects",
        "train 10k": "complete: 10,240 tokens a sequence, 20,480 trained, loss 2.500",
        "gate 10k": "complete: needles 66.7 % at 10,240 tokens",
        "train 20k": "killed 10m 00s ago, goes on when the same command is given: 20k step 3/9",
        "train 40k": "not begun",
        "evaluation": "stopped: serve.port: 8000 can't be opened",
        "report": "not begun",
    }


def test_the_verbs_by_themselves_count_too(run):
    write_attempt(run, "train", 5, line="20k step 3/9")
    run.stage("10k").complete(stage_record("10k"))
    run.evaluation_report.write_json(ASKED_FILE, {})
    write_attempt(run, "serve", 1, line="serving base")
    found = status(run)
    assert found["train 20k"].startswith("working for")
    assert found["evaluation"] == f"complete: {run.evaluation_report.uri}"
    assert found["serve"].startswith("working for")


def test_rounds(run, tmp_path):
    Run(f"{run.folder.uri}/round2").write_config(loop_config(tmp_path))
    text = describe_status(run.folder.uri, NOW_SEC)
    first, second = text.split("\n\n")
    assert first.splitlines()[0] == f"{run.folder.uri}, round 1"
    assert second.splitlines()[0] == f"{run.folder.uri}/round2, round 2"
    assert "corpus" in first
    assert "corpus" not in second


def test_the_command(run, capsys):
    assert main(["status", run.folder.uri]) == 0
    assert capsys.readouterr().out.startswith(run.folder.uri)


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["--config", "laptop"]])
def test_the_command_takes_one_folder(arguments, capsys):
    assert main(["status", *arguments]) == 2
    assert "takes the folder of a run" in capsys.readouterr().err


def test_a_folder_without_a_run(tmp_path, capsys):
    assert main(["status", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"longstrap: status: {tmp_path} holds no run; give the folder of one\n"


def test_a_report_of_no_run(tmp_path, capsys):
    assert main(["report", "--config", "laptop", "--run_dir", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.startswith(f"longstrap: run_dir: {tmp_path}/none holds no run")


def test_a_report_of_each_round_that_was_begun_the_newest_first(tmp_path, capsys):
    rounds = ("--bootstrap.rounds", "3")
    Run(f"{tmp_path}/run").write_config(loop_config(tmp_path, *rounds))
    Run(f"{tmp_path}/run/round2").write_config(loop_config(tmp_path, *rounds))
    assert main(["report", "--config", "laptop", "--run_dir", f"{tmp_path}/run", *rounds]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"open      {tmp_path}/run/round2/report.html", f"open      {tmp_path}/run/report.html"]
    assert "round2/report.html" in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("config.json", "{broken", "config.json: is no whole JSON"),
        ("config.json", "{}", "config.json: holds no settings"),
        ("attempts/1.json", "{}", "attempts/1.json: is no record of an attempt; delete it"),
        ("corpus/_complete.json", "", "corpus/_complete.json: is damaged"),
    ],
)
def test_a_damaged_record_is_named(tmp_path, name, content, expected):
    for file, text in (("config.json", '{"config": {"corpus": {}}}'), (name, content)):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text)
    with pytest.raises(UserError, match=expected) as raised:
        describe_status(str(tmp_path), 0.0)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["s3://", "s3:/bucket/x", "a\0b", ""])
def test_what_is_no_folder_is_told(name):
    with pytest.raises(UserError, match=r"^status: "):
        describe_status(name, 0.0)
