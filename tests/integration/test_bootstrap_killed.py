"""The whole loop as a user starts it, killed with SIGKILL at random moments: the same data, the same losses.

Ray, embedder, trainer and server are the real ones; the generator is a double that answers the same question alike.
"""

import json
import random
import signal
import time
from functools import partial
from pathlib import Path

import pytest
import torch
import yaml
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from app.models.places import resolve_model
from app.progress.attempts import read_attempts, seconds_by_step
from app.storage import Folder
from tests.integration.endpoint_double import EndpointDouble
from tests.integration.served_smollm2 import free_port
from tests.integration.synthesis_runs import (
    dataset_ids,
    driver,
    run_to_end,
    wait_until,
    write_corpus,
)
from tests.integration.synthesis_runs import write_recipe as write_synthesis_recipe
from tests.integration.training_runs import losses

NUM_KILLS, NUM_STEPS = 5, 4
STAGE_TOKENS = 3072


def write_model(folder: Path) -> None:
    """A random model that vLLM serves, with SmolLM2's tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(resolve_model("bundled:smollm2-135m-instruct"))
    tokenizer.save_pretrained(folder)
    torch.manual_seed(3)
    config = AutoConfig.for_model(
        "llama",
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        vocab_size=len(tokenizer),
        max_position_embeddings=2048,
        rope_theta=10000.0,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)


def write_recipe(folder: Path, name: str, base_url: str) -> Path:
    """A recipe of the whole loop with one stage; its run is `folder/NAME`."""
    path = folder / f"{name}.yaml"
    write_synthesis_recipe(path, folder / name, folder / "corpus.jsonl", base_url)
    recipe = yaml.safe_load(path.read_text())
    served = {"dtype": "float32", "cpu_kv_cache_gib": 1, "engine_args": {"enforce_eager": True}}
    recipe |= {
        "train": {
            "model": str(folder / "model"),
            "stages": [
                {
                    "name": "3k",
                    "max_seq_tokens": STAGE_TOKENS,
                    "mix": {"long_input": 0.8, "long_output": 0.2},
                    "num_steps": NUM_STEPS,
                    "batch_tokens": STAGE_TOKENS,
                    "learning_rate": 1e-3,
                }
            ],
            "dtype": "float32",
            "export_dtype": "float32",
            "steps_per_checkpoint": 2,
        },
        "serve": {
            "models": {"3k": {"model": "stage:3k"} | served},
            "port": free_port(),
        },
        "evaluate": {
            "suites": ["niah"],
            "niah": {
                "lengths_tokens": [1024, STAGE_TOKENS],
                "depths_percent": [0.0, 100.0],
                "max_output_tokens": 8,
            },
        },
        "bootstrap": {"gate": {"min_niah_percent": 0}},
    }
    recipe["dataset"] |= {"num_long_input_seeds": 6, "num_long_output_seeds": 2}
    path.write_text(yaml.safe_dump(recipe, sort_keys=False))
    return path


def records(run: Path) -> list[str]:
    """Sample ids of all answered questions."""
    files = sorted((run / "eval").glob("*/*/records-*.jsonl"))
    return sorted(
        f"{file.parent.parent.name} {json.loads(line)['sample_id']}"
        for file in files
        for line in file.read_text().splitlines()
    )


def draw_moments(run: Path) -> list[tuple[str, float]]:
    """Moments spread over a whole run's time, as steps and seconds from their beginning."""
    seconds = seconds_by_step(read_attempts(Folder(str(run))))
    generator = random.Random(11)
    found = []
    for moment in sorted(generator.uniform(0, sum(seconds.values())) for _ in range(NUM_KILLS)):
        for step, step_sec in seconds.items():
            if moment < step_sec:
                found.append((step, moment))
                break
            moment -= step_sec
    return found


def has_begun(run: Path, step: str, since_sec: float) -> bool:
    """Whether a start of the job has come to a step."""
    return any(
        each.step == step and each.started_sec >= since_sec for each in read_attempts(Folder(str(run)))
    )


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_killed_at_random_moments_it_ends_with_the_same_data_and_losses(tmp_path):
    write_corpus(tmp_path / "corpus.jsonl", num_documents=16)
    write_model(tmp_path / "model")
    expected, found = tmp_path / "undisturbed", tmp_path / "killed"
    with EndpointDouble(is_repeatable=True) as endpoint:
        text = run_to_end(
            "bootstrap", write_recipe(tmp_path, "undisturbed", endpoint.base_url), timeout_sec=600
        )
        assert f"open      {expected}/report.html" in text

        recipe = write_recipe(tmp_path, "killed", endpoint.base_url)
        moments = draw_moments(expected)
        assert len({step for step, _ in moments}) >= 3
        for step, after_sec in moments:
            since_sec = time.time()
            with driver("bootstrap", recipe) as process:
                wait_until(partial(has_begun, found, step, since_sec), process)
                time.sleep(after_sec)
                process.kill()
                assert process.wait() in (-signal.SIGKILL, 0), process.log.read_text()
        text = run_to_end("bootstrap", recipe, timeout_sec=600)

    examples, rejects = dataset_ids(expected)
    assert len(examples) + len(rejects) == 8
    assert dataset_ids(found) == (examples, rejects)
    assert losses(found, "3k") == losses(expected, "3k")
    assert len(losses(found, "3k")) == NUM_STEPS
    assert len(records(expected)) == 4
    assert records(found) == records(expected)
    assert (found / "report.html").is_file()
