"""Memory of the served models, and how long the evaluation takes."""

from dataclasses import dataclass, replace

from app.config import EvaluateConfig, RunConfig, ServedModelConfig, VllmConfig
from app.faults import UserError
from app.models.known import find_max_tokens, find_shape
from app.models.shape import ModelShape
from app.planning.calls import StepCalls
from app.planning.generation import Engine, GenerationTime, time_generation
from app.planning.machines import Cluster, Machines
from app.serving.memory import Memory, ModelMemory
from app.serving.sources import STAGE_PREFIX

VLLM_CONCURRENT = 256
"""vLLM's own `max_num_seqs` for one GPU."""


@dataclass(frozen=True)
class ServedPlan:
    """A served model and its devices."""

    name: str
    machines: Machines
    """Machines of all replicas together."""
    memory: ModelMemory
    device_bytes: float
    num_requests: int
    """How many requests of the greatest length one replica can process at once."""
    fault: str | None
    """Why the model does not fit, and what would."""


def plan_generator(config: VllmConfig, shape: ModelShape, machines: Machines) -> ServedPlan:
    """The generator's engine: it must hold one call of the greatest length."""
    size = config.tensor_parallel_size
    served = ServedModelConfig(
        model=config.model,
        max_model_tokens=config.max_model_tokens,
        dtype=config.dtype,
        kv_cache_dtype="fp8" if "fp8" in str(config.engine_args.get("kv_cache_dtype")) else "auto",
        tensor_parallel_size=size,
        gpus_per_replica=float(size) if machines.device.is_gpu else 0.0,
        memory_share=float(config.engine_args.get("gpu_memory_utilization", 0.9)),
        cpu_kv_cache_gib=config.cpu_kv_cache_gib,
        max_concurrent_requests=min(
            config.max_concurrent_calls, int(config.engine_args.get("max_num_seqs", VLLM_CONCURRENT))
        ),
    )
    plan = _plan("generator", served, shape, config.max_model_tokens, machines)
    if plan.fault is None:
        return plan
    # The remedies are those of a served model.
    fault = plan.fault.replace("kv_cache_dtype", "engine_args.kv_cache_dtype")
    return replace(plan, fault=fault.replace("gpus_per_replica", "pipeline.gpus_per_actor"))


def plan_served(
    config: RunConfig, trained: ModelShape | None, cluster: Cluster
) -> tuple[list[ServedPlan], list[str]]:
    """All models of `serve`; a stage's export has the trained model's sizes and the stage's length.

    Returns:
        The plans, and the names of models whose sizes are not known here.
    """
    assert config.serve is not None
    plans, unknown = [], []
    for name, served in config.serve.models.items():
        field = f"serve.models.{name}.model"
        shape, tokens = trained, served.max_model_tokens
        if served.model.startswith(STAGE_PREFIX):
            stages = config.train.stages if config.train else []
            lengths = [each.max_seq_tokens for each in stages if STAGE_PREFIX + each.name == served.model]
            if not lengths:
                raise UserError(
                    f"{field}: {served.model!r} is not a stage of this recipe; give one of its stages"
                )
            tokens = tokens or lengths[0]
        else:
            shape = find_shape(field, served.model, served.revision)
            tokens = tokens or find_max_tokens(field, served.model, served.revision)
        if shape is None or tokens is None:
            unknown.append(name)
            continue
        plans.append(_plan(f"serve.models.{name}", served, shape, tokens, _machines(served, cluster)))
    return plans, unknown


def _machines(served: ServedModelConfig, cluster: Cluster) -> Machines:
    """Machines for all replicas: those for generation, or those for training if a replica does not fit on the
    former.
    """
    size = served.tensor_parallel_size * served.pipeline_parallel_size
    if not served.gpus_per_replica:
        return cluster.cpus(size * served.max_replicas, served.cpus_per_replica)
    node = cluster.node("generate_gpu")
    has_place = node.num_gpus >= size and node.gpu_memory_gib >= (served.device_memory_gib or 0.0)
    return cluster.gpus("generate_gpu" if has_place else "train_gpu", size * served.max_replicas)


def time_calls(config: RunConfig, served: ServedPlan, calls: list[StepCalls]) -> GenerationTime:
    """Time of one replica that has all calls to itself."""
    memory, model = served.memory, served.memory.served
    room = memory.device_kv_room_bytes(Memory(served.device_bytes, "plan.nodes")) * memory.num_devices
    engine = Engine(
        shape=memory.shape,
        device=served.machines.device,
        num_devices=memory.num_devices,
        weights_bytes=memory.weights_bytes,
        kv_bytes_per_token=memory.device_kv_bytes_per_token * memory.num_devices,
        kv_room_bytes=max(room, 0.0),
        max_concurrent=model.max_concurrent_requests,
        prefill_share=config.plan.prefill_share,
        decode_share=config.plan.decode_share,
    )
    return time_generation(engine, calls)


def evaluation_calls(evaluate: EvaluateConfig) -> list[StepCalls]:
    """Prompts of one model, by suite. Those of suites that say nothing beforehand (short tasks) are not counted."""
    from eval.suites.registry import asked_suites

    thought = evaluate.sampling.thinking_tokens
    # One entry a length: attention's part grows with its square.
    return [
        StepCalls(
            suite.name,
            asked.num_prompts,
            asked.num_prompts * (asked.length_tokens - asked.output_tokens),
            asked.num_prompts * (asked.output_tokens + thought),
        )
        for suite in asked_suites(evaluate)
        for asked in suite.prompts(evaluate)
    ]


def _plan(
    field: str, served: ServedModelConfig, shape: ModelShape, tokens: int, machines: Machines
) -> ServedPlan:
    dtype = "bfloat16" if served.dtype == "auto" else served.dtype
    model = ModelMemory(served, shape, dtype, tokens)
    memory = Memory(machines.device.memory_bytes, f"plan.nodes, {machines.node_type}")
    fault = None if model.fits(memory) else model.shortage(field, memory)
    return ServedPlan(field, machines, model, memory.device_bytes, model.num_requests(memory), fault)
