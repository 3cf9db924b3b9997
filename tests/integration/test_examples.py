"""The examples as a user runs them, with Ray, vLLM and `datasets`; only the model that writes is a double."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from tests.integration.endpoint_double import EndpointDouble
from tests.integration.served_smollm2 import free_port
from tests.integration.synthesis_runs import dataset_ids, write_corpus
from tests.integration.test_bootstrap_killed import write_model
from tests.integration.training_runs import losses, write_chats

pytestmark = [pytest.mark.timeout(900), pytest.mark.long]

EXAMPLES = Path(__file__).parents[2] / "examples"
TOKENIZER = "bundled:smollm2-135m-instruct"
NUM_SEEDS = 4
SMALL = (
    *("--dataset.num_long_input_seeds", f"{NUM_SEEDS}"),
    *("--dataset.target_lengths", "[{min_tokens: 1500, max_tokens: 2500}]"),
    *("--corpus.decontamination.ruler", "false"),
)


def run(name: str, *arguments: object) -> str:
    """Run an example as a script; return what it printed."""
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py", *map(str, arguments)],
        env=environment | {"OPENAI_API_KEY": "none"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def documents(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("documents") / "corpus.jsonl"
    write_corpus(path, num_documents=8, num_chars=4000)
    return path


@pytest.fixture(scope="module")
def dataset_run(documents, tmp_path_factory) -> Path:
    """The run of the first example; its generator is overridden as any setting can be."""
    folder = tmp_path_factory.mktemp("documents") / "run"
    with EndpointDouble() as endpoint:
        generator = f"{{type: openai, base_url: '{endpoint.base_url}', model: m, tokenizer: '{TOKENIZER}'}}"
        text = run("own_documents", documents, folder, *SMALL, "--generator", generator)
    assert text.endswith(f"{folder}/dataset/README.md\n")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("random") / "model"
    write_model(folder)
    return folder


def test_own_documents_become_a_dataset_that_is_read(dataset_run):
    examples, rejects = dataset_ids(dataset_run)
    assert (len(examples), rejects) == (NUM_SEEDS, {})
    text = run("read_dataset", dataset_run)
    assert text.startswith(f"{NUM_SEEDS} examples of ")
    assert "→ Answer" in text


def test_an_endpoint_writes_the_examples(dataset_run, documents, tmp_path):
    # Over the same corpus and index: what is there is not made again.
    for artefact in ("corpus", "index"):
        shutil.copytree(dataset_run / artefact, tmp_path / artefact)
    with EndpointDouble() as endpoint:
        run("endpoint_generator", endpoint.base_url, "double", TOKENIZER, documents, tmp_path, *SMALL)
        assert len(endpoint.served) > NUM_SEEDS
    assert dataset_ids(tmp_path)[1] == {}
    assert len(dataset_ids(tmp_path)[0]) == NUM_SEEDS


def test_a_model_is_trained_on_own_chats(model, tmp_path):
    write_chats(tmp_path / "chats.jsonl")
    text = run("train_on_chats", model, tmp_path / "chats.jsonl", tmp_path / "run")
    assert len(losses(tmp_path / "run", "10k")) == 2
    export = text.split()[-1]
    assert AutoModelForCausalLM.from_pretrained(export).config.max_position_embeddings == 10240


def test_a_model_is_served_and_asked(model):
    text = run("serve_and_ask", model, "What is a whale?", "--serve.port", free_port())
    assert "loading mine\n" in text
    # Random weights say anything, but they say it.
    assert text.partition("loading mine\n")[2].strip()


def test_each_example_is_run_here():
    text = Path(__file__).read_text("utf-8")
    names = [path.stem for path in EXAMPLES.glob("*.py")]
    assert len(names) == 5
    assert [name for name in names if f'run("{name}"' not in text] == []
