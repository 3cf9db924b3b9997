"""Faults of the sources are told in one line before anything starts."""

import pytest

from app.config import Config
from app.dataset.identity import tokenizer_of
from app.faults import UserError
from app.recipe import load_config
from app.run import Run
from app.training.data.source_checks import check_sources
from tests.record_makers import dataset_record
from tests.training.data.test_sources import config_of
from tests.training.tiny_tokenizers import FORGETFUL, save_chatml


def on_the_dataset(run_dir, model):
    """A recipe that trains on the run's own dataset and cannot make it."""
    config = config_of(run_dir)
    return config.model_copy(update={"train": config.train.model_copy(update={"model": str(model)})})


def write_dataset(run_dir, generator, tokenizer=None):
    dataset = Run(str(run_dir)).dataset
    dataset.claim({"generator": generator, "dataset": {"tokenizer": tokenizer}})
    dataset.complete(dataset_record())


def refusal(config):
    with pytest.raises(UserError) as raised:
        check_sources(config)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_files_that_are_there_pass(tmp_path):
    (tmp_path / "a.jsonl").write_text("{}")
    check_sources(config_of(tmp_path / "run", a=tmp_path / "a.jsonl", unused=tmp_path / "nowhere"))


def test_a_path_that_is_not_there(tmp_path):
    message = refusal(config_of(tmp_path / "run", a=tmp_path / "nowhere"))
    assert message.startswith("train.sources.a.path: ")
    assert "is not there; give a file" in message


def test_a_name_that_is_no_folders(tmp_path):
    message = refusal(config_of(tmp_path, ({"a/b": 1.0},), **{"a/b": "x"}))
    assert message.startswith("train.sources: 'a/b' becomes a folder's name; use letters")


def test_training_without_its_section(tmp_path):
    config = config_of(tmp_path).model_copy(update={"train": None})
    assert refusal(config).startswith("train: is missing")


def test_a_dataset_that_is_missing_or_half_made(tmp_path, chatml):
    config = on_the_dataset(tmp_path, chatml.model)
    assert (
        "/dataset is not there; finish it with `longstrap synthesize`, set train.sources.a.path"
        in refusal(config)
    )
    Run(str(tmp_path)).dataset.claim({})
    assert "/dataset is not complete; finish it" in refusal(config)


def test_a_dataset_of_the_models_own_tokenizer_or_of_a_copy_of_it(tmp_path, chatml):
    copy = save_chatml(tmp_path / "copy")
    write_dataset(tmp_path / "run", {"type": "vllm", "model": chatml.model, "revision": None})
    check_sources(on_the_dataset(tmp_path / "run", chatml.model))
    check_sources(on_the_dataset(tmp_path / "run", copy.model))


def test_a_dataset_of_another_tokenizer_or_chat_template(tmp_path, chatml, llama):
    write_dataset(tmp_path / "run", {"type": "vllm", "model": llama.model, "revision": None})
    for model in (chatml.model, save_chatml(tmp_path / "forgetful", FORGETFUL).model):
        message = refusal(on_the_dataset(tmp_path / "run", model))
        assert message.startswith(f"train.model: {model!r} has another tokenizer or chat template than")
        assert llama.model in message
        assert f"make the dataset anew with dataset.tokenizer {model} in another run_dir" in message


def test_a_tokenizer_that_is_gone_says_so(tmp_path, chatml):
    write_dataset(tmp_path / "run", {"type": "vllm", "model": f"{tmp_path}/gone", "revision": None})
    message = refusal(on_the_dataset(tmp_path / "run", chatml.model))
    assert message.startswith("dataset.tokenizer: the tokenizer that measures the dataset can't be compared ")
    assert "can't be loaded" in message


@pytest.mark.parametrize(
    ("generator", "tokenizer", "found"),
    [
        ({"model": "m", "revision": "r"}, None, ("m", "r")),
        ({"model": "gpt", "tokenizer": "t", "revision": "r"}, None, ("t", "r")),
        ({"model": "m", "revision": "r"}, "own", ("own", None)),
    ],
)
def test_the_tokenizer_that_a_dataset_has_recorded(tmp_path, generator, tokenizer, found):
    write_dataset(tmp_path, generator, tokenizer)
    assert tokenizer_of(Run(str(tmp_path)).dataset) == found


def with_training(run_dir, **train):
    stage = {
        "name": "s",
        "max_seq_tokens": 8,
        "mix": {"long_input": 1.0},
        "num_steps": 1,
        "batch_tokens": 8,
        "learning_rate": 0.1,
    }
    config = load_config("laptop", ["--run_dir", str(run_dir)])
    return Config.model_validate(config.model_dump() | {"train": {"stages": [stage]} | train})


def test_a_recipe_with_documents_is_told_to_make_the_dataset_first(tmp_path):
    config = with_training(tmp_path)
    assert config.trained_model == ("bundled:smollm2-135m-instruct", None)
    assert "finish it with `longstrap synthesize`" in refusal(config)


def test_a_model_must_be_named(tmp_path):
    config = config_of(tmp_path)
    without = config.model_copy(update={"train": config.train.model_copy(update={"model": None})})
    assert refusal(without).startswith("train.model: is missing")


def test_an_endpoint_has_no_weights_to_train(tmp_path):
    raw = with_training(tmp_path).model_dump()
    generator = {"type": "openai", "model": "gpt", "base_url": "http://h/v1", "tokenizer": "t"}
    config = Config.model_validate(raw | {"generator": generator})
    assert "generator.model gpt is behind an endpoint; name the model" in refusal(config)
