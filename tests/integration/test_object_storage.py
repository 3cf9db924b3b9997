"""All jobs with their run folder, corpus and model on S3: a real server on loopback. Only the LLM is a double."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import torch
import yaml

from app.config import cache_dir
from app.models.places import resolve_model
from app.storage import Folder
from app.training.data.flat_files import write_flat
from tests.integration.endpoint_double import EndpointDouble, Served
from tests.integration.object_store import ENVIRONMENT, Bucket, s3_bucket
from tests.integration.synthesis_runs import (
    NUM_LONG_INPUTS,
    NUM_LONG_OUTPUTS,
    dataset_ids,
    driver,
    end,
    run_to_end,
    wait_until,
    write_corpus,
    write_recipe,
)

ROOT = Path(__file__).parents[2]
TOKENIZER = "bundled:smollm2-135m-instruct"
RUN = "runs/tiny"

pytestmark = [pytest.mark.timeout(900), pytest.mark.long]


@pytest.fixture(scope="module")
def bucket(tmp_path_factory) -> Iterator[Bucket]:
    """A bucket that jobs started here can reach, and a cache that nobody else uses."""
    folder = tmp_path_factory.mktemp("s3")
    models = Path(resolve_model(TOKENIZER)).parent
    resolve_model("bundled:multilingual-e5-small")
    assert models.parent == cache_dir()
    cache = folder / "cache"
    cache.mkdir()
    (cache / models.name).symlink_to(models)
    with pytest.MonkeyPatch.context() as patch, s3_bucket(folder / "s3.log") as bucket:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        patch.setenv("LONGSTRAP_CACHE", str(cache))
        yield bucket


def test_a_small_file_is_one_request(bucket):
    """Synthesis writes one for each LLM call: millions in a large run."""
    folder = Folder(bucket.uri("small/files"))
    folder.write_bytes("warm", b"")
    before = len(bucket.requests())
    folder.write_json("a.json", {"a": 1})
    folder.write_table("b.parquet", pa.table({"a": [1]}))
    written = bucket.requests()[before:]
    assert written == [f"PUT /{bucket.name}/small/files/{name}" for name in ("a.json", "b.parquet")]
    assert folder.read_json("a.json") == {"a": 1}
    assert folder.read_table("b.parquet").num_rows == 1


def test_what_is_written_piece_by_piece_is_whole_or_not_there(bucket):
    folder = Folder(bucket.uri("small/pieces"))
    with pytest.raises(RuntimeError), write_flat(folder, "x") as stream:  # noqa: PT012
        stream.write(b"half")
        raise RuntimeError
    assert bucket.paths("small/pieces") == set()
    with write_flat(folder, "x") as stream:
        stream.write(b"whole")
    assert folder.read_bytes("x") == b"whole"
    assert bucket.paths("small/pieces") == {"x"}


def finished_calls(bucket: Bucket, served: list[Served]) -> set[str]:
    """Hashes of the calls whose reply is in the journal; others were in flight."""
    folder = f"{RUN}/dataset/_calls"
    texts = []
    for path in bucket.paths(folder):
        with bucket.filesystem.open_input_file(f"{bucket.name}/{folder}/{path}") as stream:
            texts.append(json.loads(stream.readall())["reply"]["text"])
    return {
        call.body_hash
        for call in served
        if any(f"call {call.serial}:" in text or f"number {call.serial}." in text for text in texts)
    }


@pytest.fixture(scope="module")
def dataset(bucket, tmp_path_factory) -> Path:
    """The recipe of a run whose dataset is whole, though its job was killed on the way."""
    folder = tmp_path_factory.mktemp("recipe")
    write_corpus(folder / "corpus.jsonl")
    corpus = bucket.put(folder / "corpus.jsonl", "documents/corpus.jsonl")
    recipe = folder / "recipe.yaml"
    with EndpointDouble(delay_sec=0.1) as endpoint:
        write_recipe(recipe, Path(), Path(), endpoint.base_url)
        settings = yaml.safe_load(recipe.read_text())
        settings |= {"run_dir": bucket.uri(RUN)}
        settings["corpus"]["sources"] = [{"path": corpus}]
        recipe.write_text(yaml.safe_dump(settings))
        run_to_end("index", recipe)
        with driver("synthesize", recipe) as process:
            wait_until(lambda: len(endpoint.served) >= 100, process)
            process.send_signal(signal.SIGKILL)
            end(process)
        before = list(endpoint.served)
        finished = finished_calls(bucket, before)
        text = run_to_end("synthesize", recipe)
        again = {call.body_hash for call in endpoint.served[len(before) :]}
    assert len(finished) > 10
    assert not finished & again, "a finished call was made again"
    assert bucket.uri(f"{RUN}/dataset/examples") in text
    return recipe


def test_index_and_dataset_are_on_the_store_and_whole(bucket, dataset, tmp_path):
    examples, rejects = dataset_ids(bucket.get(RUN, tmp_path / "run"))
    assert (len(set(examples)), rejects) == (NUM_LONG_INPUTS + NUM_LONG_OUTPUTS, {})
    paths = bucket.paths(RUN)
    assert {"config.json", "index/index.faiss", "index/_complete.json", "dataset/README.md"} <= paths
    assert not [path for path in paths if Path(path).name.startswith(".")], "half-written files"
    assert not [path for path in paths if path.startswith(("dataset/_calls", "dataset/_checkpoint"))]


def write_training(bucket: Bucket, dataset: Path, folder: Path) -> Path:
    """The same recipe with a stage for a random model, which is on the store too."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(resolve_model(TOKENIZER))
    tokenizer.save_pretrained(folder / "model")
    torch.manual_seed(5)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = AutoConfig.for_model(
        "llama",
        **sizes,
        num_key_value_heads=2,
        vocab_size=len(tokenizer),
        max_position_embeddings=2048,
        rope_theta=10000.0,
        tie_word_embeddings=True,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder / "model")
    settings = yaml.safe_load(dataset.read_text())
    settings["train"] = {
        "model": bucket.put(folder / "model", "models/tiny"),
        "stages": [
            {
                "name": "4k",
                "max_seq_tokens": 4096,
                "mix": {"long_input": 0.7, "long_output": 0.3},
                "num_steps": 3,
                "batch_tokens": 8192,
                "learning_rate": 1e-3,
                "max_epochs": 10.0,
            }
        ],
        "dtype": "float32",
        "export_dtype": "float32",
        "num_workers": 2,
        "steps_per_checkpoint": 1,
        "trackers": ["tensorboard"],
    }
    recipe = folder / "train.yaml"
    recipe.write_text(yaml.safe_dump(settings))
    return recipe


def test_a_stage_is_trained_from_the_store_to_the_store(bucket, dataset, tmp_path):
    from transformers import AutoModelForCausalLM

    names = {path.name for path in ROOT.iterdir()}
    text = run_to_end("train", write_training(bucket, dataset, tmp_path))
    assert "model     " + bucket.uri(f"{RUN}/train/4k/export") in text
    stage = bucket.get(f"{RUN}/train/4k", tmp_path / "stage")
    assert AutoModelForCausalLM.from_pretrained(stage / "export").config.max_position_embeddings == 4096
    assert len((stage / "metrics.jsonl").read_text().splitlines()) == 3
    kept = {path.name for path in (stage / "checkpoints").iterdir()}
    assert len(kept) == 2
    assert any(path.is_file() for path in (stage / "tensorboard").iterdir())
    assert "_ray" not in {path.partition("/")[0] for path in bucket.paths(f"{RUN}/train")}
    # On this machine's disk: what a node may lose.
    assert {path.name for path in ROOT.iterdir()} == names
    assert {path.name for path in cache_dir().iterdir()} == {"models", "indexes", "remote"}
