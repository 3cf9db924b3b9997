import pytest

from app.config import Config, EvaluateConfig, NiahConfig, RulerConfig, VllmConfig
from app.faults import UserError
from app.planning.machines import Cluster
from app.planning.serving import evaluation_calls, plan_generator, plan_served, time_calls
from app.recipe import load_config
from benchmarks.published import LLAMA_8B, known_shape

SERVE = f"{{models: {{base: {{model: {LLAMA_8B}, gpus_per_replica: 1}}, long: {{model: 'stage:1m', tensor_parallel_size: 4, gpus_per_replica: 4}}}}}}"  # noqa: E501


def recipe(*overrides):
    return load_config(
        "llama3_8b_1m", ["--serve", SERVE, "--plan.nodes.generate_gpu.gpu_memory_gib", "80", *overrides]
    )


def test_a_stages_export_has_the_trained_models_sizes_and_the_stages_length():
    config = recipe()
    plans, unknown = plan_served(config, known_shape(LLAMA_8B), Cluster(config.plan))
    assert unknown == []
    base, long = plans
    # Where no setting says it, as the model's own.
    assert base.memory.tokens == 131_072
    assert long.memory.tokens == 1_048_576
    assert long.memory.shape == base.memory.shape
    assert long.machines.num_devices == 4
    # 128 GiB of keys and values over four GPUs, beside a quarter of the weights.
    assert long.memory.device_kv_bytes_per_token * long.memory.tokens == 32 * 2**30
    assert long.fault is None
    assert long.num_requests == 2


def test_what_does_not_fit_says_what_would():
    config = recipe(
        "--serve.models.long.tensor_parallel_size", "1", "--serve.models.long.gpus_per_replica", "1"
    )
    plans, _ = plan_served(config, known_shape(LLAMA_8B), Cluster(config.plan))
    assert plans[0].fault is None
    fault = plans[1].fault
    assert fault is not None
    assert fault.startswith(
        "serve.models.long.max_model_tokens: 1048576 tokens need 128.0 GiB of KV cache a device"
    )
    assert "set tensor_parallel_size 2 with gpus_per_replica 2" in fault


def test_a_replica_of_more_gpus_than_a_generating_machine_has_is_on_a_training_one():
    config = recipe()
    [base, long], _ = plan_served(config, known_shape(LLAMA_8B), Cluster(config.plan))
    assert (base.machines.node_type, long.machines.node_type) == ("generate_gpu", "train_gpu")


def test_an_unknown_stage_is_refused():
    config = recipe("--serve.models.long.model", "stage:2m")
    with pytest.raises(UserError, match=r"serve.models.long.model: 'stage:2m' is not a stage of this recipe"):
        plan_served(config, known_shape(LLAMA_8B), Cluster(config.plan))


def test_prompts_of_the_suites_are_counted_by_length():
    evaluate = EvaluateConfig(
        suites=["niah", "ruler", "short", "recall"],
        niah=NiahConfig(lengths_tokens=[4096, 8192], depths_percent=[0.0, 50.0], num_trials=3),
        ruler=RulerConfig(lengths_tokens=[4096], tasks=["vt", "cwe"], num_samples=20),
    )
    calls = evaluation_calls(evaluate)
    found = [(each.step, each.num_calls) for each in calls]
    # Recall: 50 facts and 50 chains, each asked three times.
    assert found == [("niah", 6), ("niah", 6), ("ruler", 40), ("recall", 300)]
    assert calls[1].prompt_per_call + calls[1].output_per_call == 8192


def test_the_generators_engine_is_planned_with_its_own_arguments():
    config = load_config("llama3_8b_1m")
    assert isinstance(config, Config)
    assert isinstance(config.generator, VllmConfig)
    machines = Cluster(config.plan).gpus("generate_gpu", 4)
    engine = plan_generator(config.generator, known_shape(LLAMA_8B), machines)
    assert engine.fault is None
    # max_concurrent_calls 256 is below max_num_seqs 512.
    assert engine.memory.served.max_concurrent_requests == 256
    small = config.generator.model_copy(update={"engine_args": {"gpu_memory_utilization": 0.4}})
    fault = plan_generator(small, known_shape(LLAMA_8B), machines).fault
    assert fault is not None
    assert fault.startswith("generator.max_model_tokens: 32768 tokens need 4.0 GiB")
    assert "tensor_parallel_size 2 with pipeline.gpus_per_actor 2" in fault


def test_long_prompts_of_an_evaluation_take_longer_than_short_ones():
    config = recipe()
    [_, long], _ = plan_served(config, known_shape(LLAMA_8B), Cluster(config.plan))
    evaluate = EvaluateConfig(suites=["niah"], niah=NiahConfig(lengths_tokens=[131_072, 1_048_576]))
    seconds = [time_calls(config, long, [each]).total_sec for each in evaluation_calls(evaluate)]
    # Eight times the tokens; attention, which is most of the longer ones, grows with their square.
    assert 20 < seconds[1] / seconds[0] < 64
