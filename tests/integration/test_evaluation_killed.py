"""An evaluation as a user starts it, killed with SIGKILL in the middle and started again."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from app.tokens import Tokenizer
from tests.eval.completions_double import Answer, CompletionsDouble

MODEL = "bundled:smollm2-135m-instruct"
TOKENIZER = Tokenizer(MODEL)
ROOT = Path(__file__).parent.parent.parent
NUM_BEFORE_THE_KILL = 6
NUM_SAMPLES = 20


def recipe(folder, url):
    settings = {
        "run_dir": str(folder / "run"),
        "evaluate": {
            "url": url,
            "models": {"m": {"tokenizer": MODEL}},
            "suites": ["ruler"],
            "num_concurrent_requests": 2,
            "ruler": {"lengths_tokens": [1024], "tasks": ["vt"], "num_samples": NUM_SAMPLES},
        },
    }
    file = folder / "evaluate.yaml"
    file.write_text(yaml.safe_dump(settings))
    return file


def start(file):
    command = [sys.executable, "-m", "ray_jobs.evaluate", "--config", str(file)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finished(folder):
    """Ids of the samples that have a reply on disk."""
    parts = sorted((folder / "run" / "eval" / "m" / "ruler").glob("records-*.jsonl"))
    return [json.loads(line)["sample_id"] for part in parts for line in part.read_text().splitlines()]


def score(folder):
    text = (folder / "run" / "eval" / "report" / "ruler_tasks.csv").read_text()
    (row,) = csv.DictReader(text.splitlines())
    return float(row["score_percent"])


def slow(body):
    """All variables there are, which is right, for about half of the prompts; none of them for the others."""
    names = re.findall(r"VAR ([A-Z]{5})", TOKENIZER.decode(body["prompt"]))
    return Answer(" ".join(names) if sum(body["prompt"]) % 2 else "none", delay_sec=0.3)


@pytest.mark.timeout(300)
def test_a_killed_evaluation_asks_only_what_is_missing_and_scores_the_same(tmp_path):
    with CompletionsDouble(slow) as endpoint:
        file = recipe(tmp_path, endpoint.url)
        process = start(file)
        deadline = time.monotonic() + 200
        while len(finished(tmp_path)) < NUM_BEFORE_THE_KILL and time.monotonic() < deadline:
            assert process.poll() is None, process.stdout.read()
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        done = set(finished(tmp_path))
        assert NUM_BEFORE_THE_KILL <= len(done) < NUM_SAMPLES
        asked_before = len(endpoint.asked)
        again = start(file)
        output, _ = again.communicate(timeout=200)
        assert again.returncode == 0, output
        assert len(endpoint.asked) - asked_before == NUM_SAMPLES - len(done)
        records = finished(tmp_path)
        assert sorted(records) == sorted(set(records))
        assert len(records) == NUM_SAMPLES
        assert f"{NUM_SAMPLES - len(done)} of {NUM_SAMPLES - len(done)} asked" in output

        other = tmp_path / "undisturbed"
        other.mkdir()
        undisturbed = start(recipe(other, endpoint.url))
        output, _ = undisturbed.communicate(timeout=200)
        assert undisturbed.returncode == 0, output
    assert 0 < score(tmp_path) < 100
    assert score(tmp_path) == score(other)
