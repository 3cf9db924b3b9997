from pathlib import Path

import pytest
from pydantic import ValidationError

from app.agent.prompts import TASKS
from app.config import (
    AgentConfig,
    Config,
    OpenAiConfig,
    RayConfig,
    VllmConfig,
    cache_dir,
    identity,
    ray_address,
)
from app.faults import UserError
from app.recipe import load_config


def test_sections_are_strict_and_frozen():
    with pytest.raises(ValidationError, match="valid integer"):
        RayConfig(num_cpus="4")
    with pytest.raises(ValidationError, match="Extra inputs"):
        RayConfig(cpus=4)
    with pytest.raises(ValidationError, match="frozen"):
        RayConfig().num_cpus = 3


def test_identity_leaves_operational_settings_out():
    first = identity(load_config("laptop"))
    same = [
        "--run_dir",
        "elsewhere",
        "--pipeline.max_actors",
        "9",
        "--retrieval.batch_size",
        "3",
        "--ray.num_cpus",
        "2",
    ]
    assert identity(load_config("laptop", same)) == first
    assert identity(load_config("laptop", ["--generator.sampling.temperature", "0"])) != first
    assert identity(load_config("laptop", ["--dataset.target_lengths.0.weight", "2"])) != first
    assert not {"run_dir", "pipeline", "ray", "progress"} & first.keys()


def test_identity_survives_json():
    import json

    settings = identity(load_config("llama3_8b_1m"))
    assert json.loads(json.dumps(settings)) == settings


@pytest.mark.parametrize("name", ["hf_token", "api_key", "HF_TOKEN"])
def test_secrets_are_refused_in_engine_args(name):
    with pytest.raises(ValidationError, match="give secrets in the environment"):
        VllmConfig(type="vllm", model="m", engine_args={name: "x"})


@pytest.mark.parametrize("url", ["localhost:8000", "https://me:word@host/v1"])
def test_an_endpoint_is_a_url_without_a_login(url):
    with pytest.raises(ValidationError):
        OpenAiConfig(type="openai", model="m", base_url=url, tokenizer="t")


def test_temp_dir_leaves_room_for_socket_names():
    RayConfig(temp_dir="/" + "x" * 39)
    with pytest.raises(ValidationError, match="too long for sockets"):
        RayConfig(temp_dir="/" + "x" * 40)
    with pytest.raises(ValidationError, match="relative"):
        RayConfig(temp_dir="tmp")


def test_shortest_target_must_leave_room_for_documents():
    with pytest.raises(UserError, match=r"dataset.target_lengths starts at 300 tokens"):
        load_config("laptop", ["--dataset.target_lengths.0.min_tokens", "300"])


@pytest.mark.parametrize(
    ("value", "expected"), [("", None), ("local", None), ("auto", "auto"), ("10.0.0.1:6379", "10.0.0.1:6379")]
)
def test_ray_address(monkeypatch, value, expected):
    monkeypatch.setenv("RAY_ADDRESS", value)
    assert ray_address() == expected


def test_cache_dir_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("LONGSTRAP_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path


def test_every_setting_has_a_type_that_json_can_hold():
    Config.model_json_schema()


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (
            ["--agent.task_weights", "{sing: 1}"],
            r"^agent\.task_weights: names sing, which is not a task; known: compare",
        ),
        (["--agent.task_weights", "{trace: 0}"], r"^agent\.task_weights: no task has a weight above 0"),
        (
            ["--dataset.structure_task_weights", "{sing: 1}"],
            r"^dataset\.structure_task_weights: names sing, which is not a task; known: recall",
        ),
        (
            ["--dataset.num_structure_seeds", "3", "--dataset.structure_task_weights", "{recall: 0}"],
            r"structure_task_weights: no task has a weight above 0",
        ),
        (["--pipeline.min_actors", "3"], r"^pipeline: min_actors 3 is above max_actors 1; at most that"),
        (
            ["--retrieval.min_embed_actors", "3", "--retrieval.max_embed_actors", "1"],
            r"^retrieval: min_embed_actors 3 is above max_embed_actors 1",
        ),
    ],
)
def test_values_that_no_machine_can_work_with_are_refused(overrides, expected):
    with pytest.raises(UserError, match=expected):
        load_config("laptop", overrides)


def test_every_task_of_the_prompts_has_a_weight_and_no_other():
    assert list(AgentConfig().task_weights) == list(TASKS)


def test_an_empty_cache_variable_is_none(monkeypatch):
    monkeypatch.setenv("LONGSTRAP_CACHE", "")
    assert cache_dir() == Path("~/.cache/longstrap").expanduser()
