"""Real Ray Train on this machine: whatever is killed, with however many workers it goes on, the losses are the same."""

import json
import os
import re
import signal

import psutil
import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.integration.synthesis_runs import driver, run_to_end, wait_until
from tests.integration.training_runs import losses, stage, write_chats, write_model, write_training_recipe

pytestmark = pytest.mark.timeout(900)

NUM_STEPS = 16
TOLERANCE = 2e-4
"""Relative, of losses: other numbers of workers add floats up in another order."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("training")
    write_model(folder / "model")
    write_chats(folder / "chats.jsonl")
    return folder


def write_recipe(folder, name):
    stages = [
        stage("1k", 1024, NUM_STEPS, sequence_parallel_size=2),
        stage("2k", 2048, NUM_STEPS, sequence_parallel_size=2, sequence_parallel_mode="ring"),
    ]
    path = folder / f"{name}.yaml"
    write_training_recipe(
        path, folder / name, folder / "model", folder / "chats.jsonl", stages, num_workers=2
    )
    return path


def at_step(process, stage_name, step):
    """Whether the job has said that it is so far."""
    said = re.findall(rf"{stage_name}\s+step (\d+)/", process.log.read_text())
    return bool(said) and int(said[-1]) >= step


def training_workers(process):
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            if "RayTrainWorker" in " ".join(child.cmdline()):
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.mark.long
def test_losses_are_those_of_an_undisturbed_run(folder):
    undisturbed = write_recipe(folder, "undisturbed")
    text = run_to_end("train", undisturbed)
    assert f"step {NUM_STEPS}/{NUM_STEPS}" in text

    recipe = write_recipe(folder, "disturbed")
    with driver("train", recipe) as process:
        wait_until(lambda: at_step(process, "1k", 4), process)
        training_workers(process)[-1].send_signal(signal.SIGKILL)
        # Ray starts new workers, which go on from the checkpoint.
        wait_until(lambda: at_step(process, "1k", 9), process)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with driver("train", recipe, "--train.num_workers", "4") as process:
        wait_until(lambda: at_step(process, "2k", 5), process)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    run_to_end("train", recipe)

    for name in ("1k", "2k"):
        expected, found = (losses(folder / run, name) for run in ("undisturbed", "disturbed"))
        assert len(found) == NUM_STEPS
        assert found == pytest.approx(expected, rel=TOLERANCE)
    assert losses(folder / "disturbed", "2k")[-1] < losses(folder / "disturbed", "1k")[0] - 0.1

    models = [
        AutoModelForCausalLM.from_pretrained(folder / run / "train" / "2k" / "export")
        for run in ("undisturbed", "disturbed")
    ]
    assert models[0].config.max_position_embeddings == 2048
    assert models[0].config.rope_parameters["rope_theta"] == 10000.0 * 64
    tokens = torch.arange(200).unsqueeze(0)
    with torch.no_grad():
        one, other = (model(tokens).logits for model in models)
    assert float((one - other).abs().max() / one.abs().max()) < 1e-2


def test_loss_that_is_no_number_stops_the_run_with_the_ids(folder):
    recipe = folder / "nan.yaml"
    stages = [stage("1k", 1024, 4, learning_rate=1e30, warmup_steps=0, schedule="constant")]
    write_training_recipe(recipe, folder / "nan", folder / "model", folder / "chats.jsonl", stages)
    with driver("train", recipe) as process:
        assert process.wait(300) != 0
        text = process.log.read_text()
    assert "the batch's ids are in" in text
    failure = next((folder / "nan" / "train" / "1k" / "failures").glob("*.json"))
    batch = json.loads(failure.read_text())["batch"]
    assert len(batch) == 4
    assert all(example.startswith("chat-") for row in batch for example in row["example_ids"])


def test_dry_run_takes_the_largest_batch_of_every_stage(folder):
    recipe = write_recipe(folder, "dry")
    text = run_to_end("train", recipe, "--train.dry_run", "true")
    for name in ("1k", "2k"):
        assert f"stage {name}: its largest batch takes" in text
        report = json.loads((folder / "dry" / "train" / name / "dry_run.json").read_text())
        assert report["peak_memory_bytes"] > 1e8
        assert not (folder / "dry" / "train" / name / "checkpoints").exists()
