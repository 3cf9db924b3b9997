"""Checks before the server starts: each fault is one line with field, value and remedy."""

import json
import re
import socket

import pytest

from app.faults import UserError
from app.jobs import JOBS
from app.recipe import RECIPES_DIR, load_config
from app.run import Run
from app.serving.preflight import check_models, check_serving
from app.serving.sources import served_source
from tests.models.known_models import TINY
from tests.record_makers import stage_record
from tests.serving.served_models import recipe, write_model


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def served(tmp_path):
    return {"model": write_model(tmp_path / "tiny", TINY)}


def fault(config) -> str:
    with pytest.raises(UserError) as caught:
        check_serving(config)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_settings_that_can_be_served_pass(tmp_path, served, port):
    check_serving(recipe(tmp_path, {"m": served}, port=port))


def test_no_section(tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text(f"run_dir: {tmp_path}/run\n")
    assert fault(load_config(str(file))).startswith("serve: is missing")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"model": "/no/such/folder"}, r"serve\.models\.m\.model: '/no/such/folder' does not exist; "),
        ({"model": "bundled:other"}, r"serve\.models\.m\.model: 'bundled:other' is not bundled; "),
        ({"max_model_tokens": 129}, r"serve\.models\.m\.max_model_tokens: 129 is more than .*; at most 128,"),
        ({"gpus_per_replica": 1}, r"serve\.models\.m\.gpus_per_replica: .* need 1 GPUs, .* has 0; give 0"),
        ({"cpus_per_replica": 5}, r"ray\.num_cpus: 4 is too few .*; at least 5"),
        ({"min_replicas": 5, "max_replicas": 5}, r"ray\.num_cpus: 4 is too few .*; at least 5"),
    ],
)
def test_models_that_cannot_be_served(tmp_path, served, port, change, expected, monkeypatch):
    monkeypatch.setattr("app.checks.gpu_memory_bytes", lambda: [])
    monkeypatch.setattr("app.serving.plan.gpu_memory_bytes", lambda: [])
    assert re.match(expected, fault(recipe(tmp_path, {"m": served | change}, port=port)))


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda path: path.unlink(), "holds no weights"),
        (
            lambda path: path.write_bytes(path.read_bytes()[:-3]),
            r"has 1\d\d bytes, and its header tells of 1",
        ),
        (
            lambda path: path.write_bytes(path.read_bytes() + b"x"),
            r"has 1\d\d bytes, and its header tells of 1",
        ),
        (lambda path: path.write_bytes(path.read_bytes()[:50]), "is cut in its header"),
        (
            lambda path: path.write_bytes(b"version https://git-lfs.github.com/spec/v1"),
            "is no safetensors file",
        ),
        (lambda path: path.write_bytes(b"abc"), "has 3 bytes"),
        (
            lambda path: path.write_bytes(path.read_bytes().replace(b'{"__', b'["__')),
            "header that can't be read",
        ),
        (lambda path: path.write_bytes(path.read_bytes().replace(b"[4, 8]", b"[5, 8]")), "shape takes"),
        (lambda path: path.write_bytes(path.read_bytes().replace(b"[4, 8]", b"[0, 4]")), "leave gaps"),
        (
            lambda path: path.write_bytes(path.read_bytes().replace(b"[1]", b"[2]")),
            "for a than its shape takes",
        ),
        (
            lambda path: path.write_bytes(path.read_bytes().replace(b"[4, 8]", b'["",8]')),
            "header that can't be read",
        ),
        (lambda path: (path.parent / "tokenizer.json").unlink(), "holds no tokenizer"),
        (
            lambda path: (path.parent / "tokenizer.json").write_text("{"),
            r"tokenizer\.json in .* can't be read ",
        ),
        (
            lambda path: (path.parent / "model.safetensors.index.json").write_text(
                '{"weight_map": {"a": "model-00001-of-00002.safetensors"}}'
            ),
            "lacks model-00001-of-00002.safetensors",
        ),
        (
            lambda path: (path.parent / "model.safetensors.index.json").write_text("[]"),
            r"model\.safetensors\.index\.json in .* can't be read ",
        ),
        (
            lambda path: (path.parent / "config.json").write_text("null"),
            "can't be read .*config.json is no JSON",
        ),
    ],
)
@pytest.mark.parametrize("plan", [True, False])
def test_a_model_that_cannot_be_loaded_is_one_line(tmp_path, served, port, spoil, told, plan):
    spoil(tmp_path / "tiny" / "model.safetensors")
    text = fault(recipe(tmp_path, {"m": served}, port=port, plan=plan))
    assert re.match(rf"serve\.models\.m\.model: .*{told}.*; ", text)


def test_weights_that_are_not_read_need_not_be_there(tmp_path, served):
    (tmp_path / "tiny" / "model.safetensors").unlink()
    check_models(recipe(tmp_path, {"m": served | {"engine_args": {"load_format": "dummy"}}}))


def test_an_engine_argument_that_vllm_does_not_have(tmp_path, served, port):
    arguments = {"engine_args": {"enforce_eagr": True}}
    assert fault(recipe(tmp_path, {"m": served | arguments}, port=port)) == (
        "serve.models.m.engine_args: vLLM has no argument 'enforce_eagr'; did you mean enforce_eager?"
    )


def test_a_length_of_one_s_own_is_right_with_hf_overrides(tmp_path, served):
    overrides = {"hf_overrides": {"max_position_embeddings": 256}}
    check_models(recipe(tmp_path, {"m": served | {"max_model_tokens": 256, "engine_args": overrides}}))


def test_a_length_beyond_the_limit_is_served_where_it_is_asked_for(tmp_path, served):
    check_models(recipe(tmp_path, {"m": served | {"max_model_tokens": 256, "beyond_limit": True}}))


def test_a_port_in_use(tmp_path, served):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        number = other.getsockname()[1]
        text = fault(recipe(tmp_path, {"m": served}, port=number))
    assert re.match(rf"serve\.port: {number} can't be opened on 127\.0\.0\.1 \(.*in use\); ", text)


def test_an_address_of_another_machine(tmp_path, served, port, monkeypatch):
    monkeypatch.setenv("LONGSTRAP_API_KEY", "key")
    text = fault(recipe(tmp_path, {"m": served}, host="192.0.2.1", port=port))
    assert text.startswith(f"serve.port: {port} can't be opened on 192.0.2.1")
    assert fault(recipe(tmp_path, {"m": served}, host="no.such.invalid", port=port)).startswith(
        "serve.host: "
    )


def test_others_need_a_key(tmp_path, served, port, monkeypatch):
    monkeypatch.delenv("LONGSTRAP_API_KEY", raising=False)
    text = fault(recipe(tmp_path, {"m": served}, host="0.0.0.0", port=port))
    assert text.startswith("serve.host: '0.0.0.0'")
    monkeypatch.setenv("LONGSTRAP_API_KEY", "key")
    check_serving(recipe(tmp_path, {"m": served}, host="0.0.0.0", port=port))


def test_a_key_file_that_is_not_there(tmp_path, served, port):
    text = fault(recipe(tmp_path, {"m": served}, port=port, api_key_file="/no/such/key"))
    assert text.startswith("serve.api_key_file: '/no/such/key' can't be read")


def test_stages_are_served_once_they_are_exported(tmp_path, port):
    stages = [
        {"name": "10k", "max_seq_tokens": 10240, "mix": {"a": 1.0}, "num_steps": 1, "batch_tokens": 10240}
    ]
    stages[0]["learning_rate"] = 1e-5
    file = tmp_path / "recipe.yaml"
    settings = {
        "run_dir": str(tmp_path / "run"),
        "train": {"model": "x/y", "sources": {"a": {"path": "x"}}, "stages": stages},
        "serve": {"models": {"m": {"model": "stage:10k"}}, "port": port},
    }
    file.write_text(json.dumps(settings))
    config = load_config(str(file))
    assert re.match(
        r"serve\.models\.m\.model: 'stage:10k' has no export in .*/train/10k; train it", fault(config)
    )
    write_model(tmp_path / "run" / "train" / "10k" / "export", TINY)
    assert "has no export" in fault(config)
    Run(config.run_dir).stage("10k").complete(stage_record("10k"))
    check_serving(config)
    assert served_source(config, "m") == f"{tmp_path}/run/train/10k/export"
    other = load_config(str(file), ["--serve.models.m.model", "stage:20k"])
    assert "is not a stage of this recipe; give one of stage:10k" in fault(other)


def test_a_plan_needs_neither_the_machine_nor_the_key(tmp_path, served, monkeypatch):
    monkeypatch.delenv("LONGSTRAP_API_KEY", raising=False)
    config = recipe(
        tmp_path, {"m": served | {"gpus_per_replica": 1, "device_memory_gib": 80}}, host="0.0.0.0", plan=True
    )
    check_serving(config)
    text = JOBS["serve"].show(config)
    assert text is not None
    assert "1 GPUs" in text


@pytest.mark.parametrize("path", sorted(RECIPES_DIR.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_recipes_serve_what_they_train(path):
    config = load_config(path.name)
    assert config.serve is not None
    assert config.train is not None
    stages = {f"stage:{stage.name}" for stage in config.train.stages}
    assert stages & {served.model for served in config.serve.models.values()}


def test_a_run_that_cannot_be_read(tmp_path, monkeypatch):
    def unreadable(artefact):
        raise OSError("no such\nbucket")

    monkeypatch.setattr("app.run.Artefact.is_complete", unreadable)
    config = recipe(tmp_path, {"m": {"model": "stage:1m"}})
    assert re.match(
        r"serve\.models\.m\.model: 'stage:1m' is in .* can't be read \(no such bucket\)", fault(config)
    )
