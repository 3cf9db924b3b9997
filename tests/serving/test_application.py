"""The Serve application of settings: what Ray is told of each model, and what it is not told."""

import pytest
from ray import cloudpickle

from app.config import ServedModelConfig
from app.faults import UserError
from app.serving.application import build, build_application
from app.serving.replica import FilesAreThere, llm_settings, placement_bundles, placement_strategy
from tests.models.known_models import TINY
from tests.serving.served_models import recipe, write_model

KEY = "sk-never-to-be-seen"


@pytest.fixture
def model(tmp_path) -> str:
    return write_model(tmp_path / "tiny", TINY)


def deployments(application) -> dict:
    """Name → deployment, of an application and of what it is bound to."""
    ingress = application._bound_deployment
    models = [child._bound_deployment for child in ingress.init_args[0].values()]
    return {deployment.name: deployment for deployment in (ingress, *models)}


def test_every_model_is_a_deployment_with_its_limits(tmp_path, model):
    models = {
        "base": {"model": model, "max_concurrent_requests": 3, "max_queued_requests": 4},
        "org/long": {"model": model, "min_replicas": 1, "max_replicas": 5, "max_model_tokens": 64},
    }
    config = recipe(tmp_path, models, drain_timeout_sec=7.0)
    found = deployments(build_application(config, None))
    assert list(found) == ["ingress", "model-0-base", "model-1-org--long"]
    base, long = found["model-0-base"], found["model-1-org--long"]
    assert (base.max_ongoing_requests, base.max_queued_requests, base.num_replicas) == (3, 4, 1)
    assert base._deployment_config.graceful_shutdown_timeout_s == 7.0
    scaling = long._deployment_config.autoscaling_config
    assert (scaling.min_replicas, scaling.max_replicas) == (1, 5)
    assert found["ingress"].init_args[1] == {"base": 128, "org/long": 64}


def test_ray_never_gets_the_key(tmp_path, model):
    application = build_application(recipe(tmp_path, {"base": {"model": model}}), KEY)
    arguments = cloudpickle.dumps(deployments(application)["ingress"].init_args[2:])
    assert KEY.encode() not in arguments
    assert b"sk-never" not in arguments


def test_what_a_config_file_deploys_needs_a_key(tmp_path, model, monkeypatch):
    recipe(tmp_path, {"base": {"model": model}})
    args = {
        "config": str(tmp_path / "recipe.yaml"),
        "overrides": {"serve.models.base.max_queued_requests": 9},
    }
    monkeypatch.delenv("LONGSTRAP_API_KEY", raising=False)
    with pytest.raises(UserError, match=r"LONGSTRAP_API_KEY"):
        build(args)
    monkeypatch.setenv("LONGSTRAP_API_KEY", KEY)
    assert deployments(build(args))["model-0-base"].max_queued_requests == 9


def served(**changes) -> ServedModelConfig:
    return ServedModelConfig.model_validate({"model": "x/y", **changes})


def test_a_replica_on_gpus_has_one_for_each_worker_on_one_node():
    eight = served(tensor_parallel_size=8, gpus_per_replica=8.0, cpus_per_replica=4.0)
    assert placement_bundles(eight) == [{"CPU": 4.0, "GPU": 1}, *[{"GPU": 1}] * 7]
    assert placement_strategy(eight) == "STRICT_PACK"
    stages = served(tensor_parallel_size=4, pipeline_parallel_size=2, gpus_per_replica=8.0)
    assert placement_strategy(stages) == "PACK"


def test_a_replica_on_a_cpu_asks_for_no_gpu():
    assert placement_bundles(served(cpus_per_replica=0.5)) == [{"CPU": 0.5, "GPU": 0}]


def test_the_engine_is_told_what_the_settings_say():
    settings = llm_settings(
        "base",
        served(kv_cache_dtype="fp8", max_concurrent_requests=5, engine_args={"max_num_batched_tokens": 512}),
        "/models/base",
        4096,
    )
    engine = settings["engine_kwargs"]
    assert settings["model_loading_config"] == {"model_id": "base", "model_source": "/models/base"}
    assert (engine["max_model_len"], engine["max_num_seqs"], engine["kv_cache_dtype"]) == (4096, 5, "fp8")
    assert engine["max_num_batched_tokens"] == 512
    assert engine["enforce_eager"]
    assert engine["enable_chunked_prefill"]
    assert engine["enable_prefix_caching"]
    assert engine["trust_remote_code"] is False
    assert "revision" not in engine


def test_a_model_beyond_its_limit_is_told_to_the_engine_as_longer():
    engine = llm_settings("m", served(max_model_tokens=256, beyond_limit=True), "/m", 256)["engine_kwargs"]
    assert engine["hf_overrides"] == {"max_position_embeddings": 256}
    assert "hf_overrides" not in llm_settings("m", served(max_model_tokens=256), "/m", 256)["engine_kwargs"]


def test_beyond_the_limit_needs_a_length():
    with pytest.raises(ValueError, match="beyond_limit needs max_model_tokens"):
        served(beyond_limit=True)


def test_code_of_a_model_is_never_trusted():
    settings = llm_settings("m", served(engine_args={"trust_remote_code": True}), "/m", None)
    assert settings["engine_kwargs"]["trust_remote_code"] is False
    assert "max_model_len" not in settings["engine_kwargs"]


def test_the_engine_s_hook_says_that_the_files_are_there():
    module, _, name = llm_settings("m", served(), "/m", 1)["callback_config"]["callback_class"].partition(":")
    assert (module, name) == (FilesAreThere.__module__, FilesAreThere.__name__)
    assert FilesAreThere(None, ctx_kwargs={"placement_group": 1}).ctx.run_init_node is False
