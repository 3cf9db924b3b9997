"""The plan of whole recipes, as a person and as a program reads it."""

import json
import os
import re

import pytest

from app.cli import main
from app.faults import UserError
from app.planning.plan import make_plan
from app.planning.tables import COLUMNS, render_plan
from app.recipe import load_config


@pytest.fixture(scope="module")
def plan():
    return make_plan(load_config("llama3_8b_1m"))


def test_every_step_is_planned_and_adds_up(plan):
    names = [step.name for step in plan.steps]
    assert names == [
        *("corpus", "index", "synthesize", "train 256k", "train 512k", "train 1m"),
        *("evaluate base", "evaluate 256k", "evaluate 512k", "evaluate 1m", "head"),
    ]
    record = plan.record()
    assert json.loads(json.dumps(record)) == record
    assert record["total"]["seconds"] == pytest.approx(sum(step["seconds"] or 0 for step in record["steps"]))
    assert record["total"]["money"] == pytest.approx(sum(step["money"] for step in record["steps"]))
    training = record["steps"][3]
    # 954 steps on 4 machines of 8 GPUs, at the recipe's price.
    assert training["num_nodes"] == 4
    assert training["gpu_hours"] == pytest.approx(32 * training["seconds"] / 3600)
    assert training["money"] == pytest.approx(training["gpu_hours"] / 8 * 55)
    synthesis = record["steps"][2]
    assert synthesis["num_calls"] == pytest.approx(sum(call["num_calls"] for call in record["calls"]), abs=1)
    assert plan.faults == []


def test_the_table_fits_the_screen_and_names_everything(plan):
    text = render_plan(plan)
    assert max(map(len, text.splitlines())) <= COLUMNS
    for word in (
        "synthesize",
        "train 1m",
        "backtranslation",
        "KV cache",
        "SP 8: offload_checkpoints",
        "money",
    ):
        assert word in text
    assert not re.search(r"\bnan\b|\binf\b|None", text)


def test_the_verb_prints_it_and_writes_json_without_a_run_folder(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["plan", "--config", "laptop", "--json", "plan.json"]) == 0
    assert "train 10k" in capsys.readouterr().out
    record = json.loads((tmp_path / "plan.json").read_text())
    assert record["steps"][0]["num_nodes"] == 1
    assert record["total"]["money"] is None
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]


def test_a_recipe_that_only_trains_is_planned(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"""
run_dir: {tmp_path}/run
train:
  model: meta-llama/Llama-3.2-1B-Instruct
  sources: {{text: {{path: {tmp_path}/text}}}}
  stages:
    - {{name: s, max_seq_tokens: 262144, mix: {{text: 1.0}}, num_steps: 10, batch_tokens: 2097152,
        learning_rate: 1.0e-5, sequence_parallel_size: 8}}
  num_workers: 8
  gpus_per_worker: 1
"""
    )
    plan = make_plan(load_config(str(recipe)))
    assert [step.name for step in plan.steps] == ["train s"]
    assert plan.money is None
    assert any("counted as whole sequences" in note for note in plan.notes)


def test_what_does_not_fit_is_told_and_a_corpus_that_is_nowhere_is_asked_for():
    small = make_plan(load_config("llama3_8b_1m", ["--plan.nodes.train_gpu.gpu_memory_gib", "20"]))
    assert "Does not fit" in render_plan(small)
    assert any("set train." in fault for fault in small.faults)
    unknown = ["--plan.num_corpus_tokens", "null", "--corpus.sources.0.path", "/nowhere/*.parquet"]
    with pytest.raises(
        UserError, match=r"^plan.num_corpus_tokens: is missing, and the documents can't be read"
    ):
        make_plan(load_config("llama3_8b_1m", unknown))


def test_an_endpoints_tokens_have_their_own_price():
    generator = "{type: openai, base_url: 'https://h/v1', model: m, tokenizer: bundled:smollm2-135m-instruct}"
    plan = make_plan(
        load_config(
            "laptop",
            [
                "--generator",
                generator,
                "--serve",
                "null",
                "--train",
                "null",
                "--plan.price_per_million_prompt_tokens",
                "2",
                "--plan.price_per_million_output_tokens",
                "10",
            ],
        )
    )
    [synthesis] = [step for step in plan.steps if step.name == "synthesize"]
    assert synthesis.seconds is None
    assert synthesis.money == pytest.approx(
        (2 * synthesis.prompt_tokens + 10 * synthesis.output_tokens) / 1e6
    )


@pytest.mark.parametrize("name", [".", "pipe", "file/plan.json"])
def test_what_the_plan_cannot_be_written_to_is_told(tmp_path, capsys, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    assert main(["plan", "--config", "laptop", "--json", name]) == 2
    assert capsys.readouterr().err.startswith(f"longstrap: plan.json_path: '{name}' ")
    assert (tmp_path / "pipe").is_fifo()


def test_a_plan_says_that_targets_are_beyond_what_the_documents_can_fill(tmp_path):
    rows = [json.dumps({"title": f"Report {i}", "text": "word " * 6000}) for i in range(20)]
    (tmp_path / "c.jsonl").write_text("\n".join(rows))
    options = ["--corpus.sources.0.path", str(tmp_path / "c.jsonl"), "--run_dir", str(tmp_path / "run")]
    options += ["--agent.document_tokens", "1024", "--dataset.target_lengths.0.max_tokens", "30000"]
    faults = make_plan(load_config("laptop", options)).faults
    assert any(fault.startswith("dataset.target_lengths.0.max_tokens: 30000 is beyond") for fault in faults)
