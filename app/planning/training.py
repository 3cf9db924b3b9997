"""What a training stage takes: FLOPs, time, GPU and host memory, and the memory settings that it needs.

Operations that the model needs are `app.training.flops`' (6 a parameter and token, 6 a pair of tokens). What our
trainer computes again is added, as it takes time:

checkpointed layers   their forward pass once more: 2 a parameter and token, and 2 a pair of tokens unless attention
                      is kept; but for the MLP's last product, whose result nothing needs
tiled MLPs            nothing more: a tile is computed again by itself, and the layer that is computed again stops
                      before them; without checkpointed layers the two first products of the MLP, each 2 h f a token
the loss              nothing: its gradients are computed chunk by chunk in the forward pass

Without kept attention that is 4/3 of what the model needs at a million tokens, as in the method. A step takes all of it
over `plan.train_share` of the GPUs' peak; 0.5 is what others reach (docs/plan.md compares). Short sequences over many
GPUs wait for each other's messages, which is not planned. Memory is `app.training.memory.estimate`'s.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from app.config import RunConfig, StageConfig, TrainConfig, TrainMemoryConfig
from app.models.shape import ModelShape
from app.planning.lengths import Lengths, of_mean, of_one
from app.planning.machines import Cluster, Machines
from app.quantities import GIB
from app.training.flops import flops_of_pairs, pairs_of_layers
from app.training.memory.estimate import MemoryEstimate
from app.training.memory.remedies import (
    MemoryPlan,
    find_remedy,
    fits_host_without_kept_attention,
    shortage,
)


@dataclass(frozen=True)
class StagePlan:
    """What one stage takes on its GPUs."""

    stage: StageConfig
    computed_flops: float
    """FLOPs of all steps, recomputation included, with the document lengths of the stage's mix."""
    step_sec: float
    longest_step_sec: float
    """Time of a step whose sequences are one document each."""
    memory: MemoryEstimate
    memory_limit_bytes: float
    host_bytes: float
    """Host memory needed on one machine."""
    faults: tuple[str, ...]
    """What does not fit, each with the smallest change that makes it fit."""
    needs: str
    """Fewest memory settings, in addition to checkpointed layers, with which the stage fits at its size."""
    least_size: int | None
    """Smallest sequence-parallel size at which the stage fits with the recipe's memory settings; None: it never
    fits."""

    @property
    def seconds(self) -> float:
        return self.step_sec * self.stage.total_steps

    @property
    def num_tokens(self) -> int:
        return self.stage.total_steps * self.stage.batch_tokens


def plan_stages(
    config: RunConfig, shape: ModelShape, cluster: Cluster, lengths: dict[str, Lengths]
) -> tuple[Machines, list[StagePlan]]:
    """Machines of the training, and every stage on them.

    Args:
        config: Settings of the run, with `train`.
        shape: Sizes of the model.
        cluster: What there is.
        lengths: Source → lengths of its examples, of those that are known.

    Raises:
        UserError: A layout that the model's heads do not allow.
    """
    assert config.train is not None
    train = config.train
    if train.gpus_per_worker:
        machines = cluster.gpus("train_gpu", train.num_workers)
    else:
        machines = cluster.cpus(train.num_workers, train.cpus_per_worker)
    return machines, [
        _plan_stage(config, train, index, shape, machines, cluster, lengths)
        for index in range(len(train.stages))
    ]


def source_lengths(config: RunConfig, known: dict[str, Lengths]) -> dict[str, Lengths]:
    """Source → lengths of its examples, where the run's own dataset or the settings tell them.

    Args:
        config: Settings of the run.
        known: Kind of the run's dataset → lengths.
    """
    assert config.train is not None
    found = {}
    for name, source in config.train.sources.items():
        if name in config.plan.example_tokens:
            found[name] = of_mean(config.plan.example_tokens[name])
        elif source.path is None and source.kind in known:
            found[name] = known[source.kind]
    return found


def pairs_per_token(stage: StageConfig, lengths: dict[str, Lengths]) -> float:
    """Squared lengths of a sequence's documents over its tokens: sum of `share E[D²] / E[D]` over the mix.

    A source of unknown lengths counts as whole sequences, and so does all where documents see each other. Chats longer
    than the stage are left out of it, texts are cut to its length: both stay below it.
    """
    if stage.documents == "separator":
        return float(stage.max_seq_tokens)
    total = sum(stage.mix.values())
    pairs = 0.0
    for name, share in stage.mix.items():
        known = lengths.get(name, of_one(stage.max_seq_tokens)).at_most(stage.max_seq_tokens)
        pairs += share / total * known.mean_of(lambda tokens: tokens**2) / known.mean
    return pairs


def computed_flops(
    shape: ModelShape, num_tokens: float, num_pairs: float, memory: TrainMemoryConfig
) -> float:
    """Operations of a forward and a backward pass, with those that our trainer does again."""
    product = shape.hidden_size * shape.intermediate_size
    multiplied, pairs = 0.0, 0.0
    if memory.checkpoint_activations:
        multiplied += shape.num_active_layer_parameters - product
        if not memory.keep_attention:
            pairs += pairs_of_layers(shape, num_tokens, num_pairs)
    elif memory.mlp_tile_tokens is not None:
        multiplied += 2 * product
    again = shape.num_layers * multiplied * num_tokens + pairs * shape.num_heads * shape.head_dim
    return flops_of_pairs(shape, num_tokens, num_pairs) + 2.0 * again


def _plan_stage(
    config: RunConfig,
    train: TrainConfig,
    index: int,
    shape: ModelShape,
    machines: Machines,
    cluster: Cluster,
    lengths: dict[str, Lengths],
) -> StagePlan:
    stage, field = train.stages[index], f"train.stages.{index}"
    tokens = float(stage.max_seq_tokens)
    pairs = pairs_per_token(stage, lengths) * tokens
    num_sequences = stage.total_steps * stage.sequences_per_step
    num_groups = max(1, machines.num_devices // stage.sequence_parallel_size)
    # Groups without a sequence wait for the others.
    rounds = -(-stage.sequences_per_step // num_groups)
    group_flops = stage.sequence_parallel_size * machines.device.peak_flops * config.plan.train_share

    def step_sec(num_pairs: float) -> float:
        return rounds * computed_flops(shape, tokens, num_pairs, train.memory) / group_flops

    plan = MemoryPlan(
        shape,
        stage,
        field,
        train.memory,
        train.dtype,
        train.min_workers or train.num_workers,
        machines.device.is_gpu,
    )
    limit = memory_limit(config, machines)
    memory = plan.estimate()
    host_bytes = memory.host_bytes * min(machines.num_devices, machines.node.num_gpus)
    most_workers = cluster.most_devices(machines.node_type) if machines.device.is_gpu else train.num_workers
    return StagePlan(
        stage=stage,
        computed_flops=num_sequences * computed_flops(shape, tokens, pairs, train.memory),
        step_sec=step_sec(pairs),
        longest_step_sec=step_sec(tokens**2),
        memory=memory,
        memory_limit_bytes=limit,
        host_bytes=host_bytes,
        faults=tuple(_faults(plan, limit, host_bytes, machines, most_workers)),
        needs=_needs(plan, limit),
        least_size=_least_size(plan, limit),
    )


def memory_limit(config: RunConfig, machines: Machines) -> float:
    """Bytes that a stage may fill on a worker's device."""
    assert config.train is not None
    told = config.train.worker_memory_gib
    device_bytes = machines.device.memory_bytes if told is None else told * GIB
    return device_bytes * config.plan.memory_share


def _faults(
    plan: MemoryPlan, limit: float, host_bytes: float, machines: Machines, most_workers: int | None
) -> Iterator[str]:
    if most_workers is not None and machines.num_devices > most_workers:
        yield (
            f"train.num_workers {machines.num_devices} are more than the {most_workers} GPUs of the cluster's "
            f"{machines.node_type} nodes; set it to at most that, or raise their max_workers"
        )
    if plan.estimate().total_bytes > limit:
        yield shortage(plan, limit, "plan.nodes", lambda other: _fits(plan, other, limit, most_workers))
    node_bytes = machines.node.memory_gib * GIB
    if machines.device.is_gpu and host_bytes > node_bytes:
        num_workers = min(machines.num_devices, machines.node.num_gpus)
        fits = fits_host_without_kept_attention(plan, node_bytes / num_workers)
        remedy = "train.memory.keep_attention false" if fits else "its sequence_parallel_size higher"
        yield (
            f"{plan.field}: what is offloaded takes {host_bytes / GIB:.0f} GiB of a machine's "
            f"{machines.node.memory_gib:.0f}; set {remedy}, or take machines with more memory"
        )


def _needs(plan: MemoryPlan, limit: float) -> str:
    """Fewest memory settings with which the stage fits on that many GPUs per sequence."""
    # The loss is never whole: a chunk is as plain as it gets.
    plain = replace(plan, memory=TrainMemoryConfig())

    def fits(other: MemoryPlan) -> bool:
        same_groups = other.stage.sequence_parallel_size == plan.stage.sequence_parallel_size
        return same_groups and other.estimate().total_bytes <= limit

    if fits(plain):
        return "nothing"
    remedy = find_remedy(plain, fits)
    return (
        "more than settings" if remedy is None else remedy.replace("train.memory.", "").replace(" true", "")
    )


def _least_size(plan: MemoryPlan, limit: float) -> int | None:
    """Fewest GPUs per sequence with which the stage fits with the recipe's settings."""
    num_workers, num_sequences = plan.num_workers, plan.stage.sequences_per_step
    # A group of workers without a sequence is refused.
    sizes = [size for size in range(1, num_workers + 1) if num_workers % size == 0]
    for size in [size for size in sizes if num_workers // size <= num_sequences]:
        stage = plan.stage.model_copy(update={"sequence_parallel_size": size, "ulysses_size": None})
        if replace(plan, stage=stage).estimate().total_bytes <= limit:
            return size
    return None


def _fits(plan: MemoryPlan, other: MemoryPlan, limit: float, most_workers: int | None) -> bool:
    is_there = most_workers is None or other.num_workers <= max(most_workers, plan.num_workers)
    return is_there and other.estimate().total_bytes <= limit
