"""The whole plan of a recipe: what each of its steps will take."""

from app.config import Config, RunConfig
from app.models.known import find_shape
from app.models.shape import ModelShape
from app.planning.data import dataset_tokens, plan_data
from app.planning.lengths import Lengths
from app.planning.machines import Cluster, Machines
from app.planning.probing import plan_search
from app.planning.serving import ServedPlan, evaluation_calls, plan_served, time_calls
from app.planning.steps import Plan, PlannedMemory, PlannedStep
from app.planning.storage_bytes import checkpoints_bytes, export_bytes, tokenized_bytes
from app.planning.training import StagePlan, plan_stages, source_lengths
from app.quantities import GIB


def make_plan(config: RunConfig) -> Plan:
    """Plan all steps whose settings the recipe has.

    Raises:
        UserError: A setting that cannot be, or a corpus of which nothing is known.
    """
    cluster = Cluster(config.plan)
    plan = Plan(f"Plan of {config.run_dir}")
    lengths: dict[str, Lengths] = {}
    if isinstance(config, Config):
        lengths = plan_data(config, cluster, plan)
    trained = _trained_shape(config, plan)
    if config.train is not None and trained is not None:
        own_tokens = dataset_tokens(config, lengths) if isinstance(config, Config) else 0.0
        _add_training(config, trained, cluster, lengths, own_tokens, plan)
    if config.serve is not None:
        _add_serving(config, trained, cluster, plan)
    _add_head(cluster, plan)
    plan.notes.append(_assumptions(config))
    return plan


def _trained_shape(config: RunConfig, plan: Plan) -> ModelShape | None:
    if config.train is None:
        return None
    model, revision = config.trained_model
    shape = find_shape("train.model" if config.train.model else "generator.model", model, revision)
    if shape is None:
        plan.notes.append(f"Not known: sizes of the trained model {model}, as its hub is out of reach.")
    return shape


def _add_training(
    config: RunConfig,
    shape: ModelShape,
    cluster: Cluster,
    kinds: dict[str, Lengths],
    own_tokens: float,
    plan: Plan,
) -> None:
    assert config.train is not None
    lengths = source_lengths(config, kinds)
    machines, stages = plan_stages(config, shape, cluster, lengths)
    for index, stage in enumerate(stages):
        name = f"train {stage.stage.name}"
        storage = tokenized_bytes(stage.num_tokens + (0.0 if index else own_tokens))
        storage += checkpoints_bytes(config.train, shape) + export_bytes(config.train, shape)
        if stage.stage.rope_theta == "search":
            plan.steps.append(plan_search(config, stage.stage, shape, machines))
        plan.steps.append(_training_step(name, stage, machines, storage))
        plan.memory.append(_training_memory(name, stage))
        plan.faults += stage.faults
    longest = ", ".join(f"{each.stage.name} {each.longest_step_sec:,.0f} s" for each in stages)
    plan.notes.append(f"Steps whose sequences are one document each, the longest: {longest}.")
    unknown = sorted({name for stage in config.train.stages for name in stage.mix} - lengths.keys())
    if unknown:
        plan.notes.append(
            f"Examples of {', '.join(unknown)} are counted as whole sequences, the most; plan.example_tokens tells "
            f"their mean length."
        )


def _training_step(name: str, stage: StagePlan, machines: Machines, storage: float) -> PlannedStep:
    return PlannedStep(
        name,
        f"{stage.stage.total_steps:,} steps of {stage.step_sec:,.0f} s",
        machines,
        stage.seconds,
        stage.computed_flops,
        storage_bytes=storage,
    )


def _training_memory(name: str, stage: StagePlan) -> PlannedMemory:
    memory = stage.memory
    return PlannedMemory(
        name,
        {
            "state": memory.state_bytes,
            "working set": memory.working_set_bytes,
            "checkpoints": memory.checkpoints_bytes,
            "activations": memory.total_bytes
            - memory.state_bytes
            - memory.working_set_bytes
            - memory.checkpoints_bytes,
        },
        stage.memory_limit_bytes,
        stage.host_bytes,
        _training_needs(stage),
    )


def _training_needs(stage: StagePlan) -> str:
    size = stage.stage.sequence_parallel_size
    least = "" if stage.least_size in (None, size) else f"; SP {stage.least_size} at least"
    return f"SP {size}: {stage.needs}{least}"


def _add_serving(config: RunConfig, trained: ModelShape | None, cluster: Cluster, plan: Plan) -> None:
    served, unknown = plan_served(config, trained, cluster)
    for name in unknown:
        plan.notes.append(f"Not known: sizes or length of serve.models.{name}, as its hub is out of reach.")
    for each in served:
        plan.memory.append(_served_memory(each))
        if each.fault:
            plan.faults.append(each.fault)
    if config.evaluate is None or config.evaluate.url is not None:
        return
    for each in served:
        if not config.evaluate.models or each.name.removeprefix("serve.models.") in config.evaluate.models:
            plan.steps.append(_evaluation_step(config, each))


def _served_memory(served: ServedPlan) -> PlannedMemory:
    model = served.memory
    return PlannedMemory(
        f"serve {served.name.removeprefix('serve.models.')}",
        {
            "weights": model.weights_bytes / model.num_devices,
            "KV cache": model.device_kv_bytes_per_token * float(model.tokens),
        },
        served.device_bytes * model.served.memory_share,
        needs=f"{model.num_devices} device{'s' if model.num_devices > 1 else ''}",
        note=f"one request of {model.tokens:,} tokens; {served.num_requests} fit at once",
    )


def _evaluation_step(config: RunConfig, served: ServedPlan) -> PlannedStep:
    assert config.evaluate is not None
    # Longer ones than it reads are not asked.
    calls = [
        each
        for each in evaluation_calls(config.evaluate)
        if each.prompt_per_call + each.output_per_call <= served.memory.tokens
    ]
    seconds = sum(time_calls(config, served, [each]).total_sec for each in calls)
    num_calls = sum(each.num_calls for each in calls)
    return PlannedStep(
        f"evaluate {served.name.removeprefix('serve.models.')}",
        f"{num_calls:,.0f} prompts",
        served.machines,
        seconds * served.memory.num_devices / served.machines.num_devices,
        num_calls=num_calls,
        prompt_tokens=sum(each.prompt_tokens for each in calls),
        output_tokens=sum(each.output_tokens for each in calls),
    )


def _add_head(cluster: Cluster, plan: Plan) -> None:
    price = cluster.node("head").price_per_hour
    if price is not None:
        money = price * plan.seconds / 3600
        plan.steps.append(PlannedStep("head", "all the time", other_money=money))


def _assumptions(config: RunConfig) -> str:
    plan = config.plan
    return (
        f"Shares of a device's peak: embedding {plan.embedding_share:.0%}, prompts {plan.prefill_share:.0%}, training "
        f"{plan.train_share:.0%}; of its bandwidth: replies {plan.decode_share:.0%}; of its memory: training "
        f"{plan.memory_share:.0%}. Steps follow each other; nodes that start, rejected rows and checkpoints being "
        f"written take time that is not planned. 1 GiB is {GIB:,} bytes."
    )
