"""20 questions about three texts, asked of SmolLM2 over completions and chats, and what the page shows of them."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.chromium import find_chromium, open_browser
from tests.integration.served_smollm2 import KEY, serve_smollm2

pytestmark = [pytest.mark.timeout(1500), pytest.mark.long]

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_questions.py"
TOKENIZER = "bundled:smollm2-135m-instruct"
NUM_QUESTIONS = 20
OTHER_SUITES = {
    "mrcr": {"lengths_tokens": [2048], "num_needles": [2], "num_samples": 2, "reply_tokens": 64},
    "graphwalks": {"lengths_tokens": [2048], "num_samples": 1, "max_output_tokens": 64},
}
CELLS = """
[...document.querySelectorAll("table")].filter((each) => each.caption.textContent.endsWith(": answers"))
  .map((each) => [...each.tBodies].flatMap((body) => [...body.rows]).map((row) =>
    [...row.cells].map((cell) => cell.textContent)))
"""


@pytest.fixture(scope="module")
def served():
    model = {
        "dtype": "float32",
        "max_model_tokens": 4096,
        "max_concurrent_requests": 4,
        "cpu_kv_cache_gib": 1,
        "engine_args": {"max_num_batched_tokens": 4096},
    }
    with serve_smollm2(model) as server:
        yield server


def run(*arguments):
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=environment | {"LONGSTRAP_API_KEY": KEY},
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("api", ["completions", "chat"])
def test_each_question_has_a_scored_answer(served, tmp_path_factory, api):
    folder = tmp_path_factory.mktemp(api)
    printed = run(EXAMPLE, folder, "base", TOKENIZER, served.url, "--evaluate.api", api)
    assert "Own questions" in printed
    rows = list(csv.DictReader((folder / "run" / "eval" / "report" / "mine.csv").read_text().splitlines()))
    counted = [row for row in rows if row["task"] != "mean of the tasks"]
    assert sum(int(row["num_samples"]) for row in counted) == NUM_QUESTIONS
    # A model of 135M finds a name on the page that it has just read, now and then.
    assert any(float(row["score_percent"]) > 0 for row in counted)
    found = records(folder)
    assert len(found) == NUM_QUESTIONS
    assert all(record["error"] is None for record in found)
    # All but the first question on each text find it cached.
    assert sum(record["reply"]["num_cached_tokens"] > 1000 for record in found) >= NUM_QUESTIONS - 5
    others = [
        text for name, value in OTHER_SUITES.items() for text in (f"--evaluate.{name}", json.dumps(value))
    ]
    printed = run(
        *("-m", "app.cli", "evaluate", "--config", "laptop.yaml", "--run_dir", folder / "run"),
        *("--url", served.url, "--suite", ",".join(["mine", *OTHER_SUITES]), "--evaluate.api", api),
        *("--evaluate.mine", json.dumps({"path": str(folder / "questions.jsonl")})),
        *("--evaluate.models", json.dumps({"base": {"tokenizer": TOKENIZER}}), *others),
    )
    assert {"MRCR", "GraphWalks"} <= set(printed.split())
    # What is answered is not asked again.
    assert len(records(folder)) == NUM_QUESTIONS
    assert "mine base: 20 of 20 asked" not in printed
    if find_chromium() is not None:
        check_page(folder)


def records(folder):
    parts = (folder / "run" / "eval" / "base" / "mine").glob("records-*.jsonl")
    return [json.loads(line) for part in parts for line in part.read_text().splitlines()]


def check_page(folder):
    run("-m", "app.cli", "report", "--config", "laptop.yaml", "--run_dir", folder / "run")
    with open_browser(find_chromium()) as page:
        page.resize(1200)
        page.open((folder / "run" / "report.html").as_uri())
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        (folder / "page.png").write_bytes(page.screenshot())
        [answers] = page.evaluate(CELLS)
        assert page.named("Runtime.exceptionThrown") == []
    assert len(answers) == NUM_QUESTIONS
    assert answers[0][:2] == ["What does the narrator ask to be called?", "Ishmael"]
    assert all(len(row) == 4 and row[2] for row in answers)
