"""Checks whether a stage fits the memory of its workers, if a setting or this machine gives that memory."""

from app.config import StageConfig, TrainConfig, ray_address
from app.faults import UserError
from app.machine import gpu_memory_bytes, host_memory_bytes
from app.models.shape import ModelShape
from app.quantities import GIB
from app.training.memory.remedies import MemoryPlan, fits_host_without_kept_attention, shortage


def check_memory(train: TrainConfig, field: str, stage: StageConfig, shape: ModelShape) -> None:
    """Compare a stage's estimate with what a worker has, where that is known.

    Args:
        train: The training.
        field: The stage's place in the settings.
        stage: One of its stages.
        shape: Sizes of the model.

    Raises:
        UserError: It does not fit; names the parts and the smallest change that would make it fit.
    """
    memory = _worker_memory(train)
    if memory is None:
        return
    limit_bytes, source = memory

    def fits(plan: MemoryPlan) -> bool:
        is_reachable = plan.num_workers == num_workers or _may_grow(train)
        keeps_groups = train.num_workers % plan.stage.sequence_parallel_size == 0
        return (
            is_reachable
            and (keeps_groups or plan.num_workers > num_workers)
            and plan.estimate().total_bytes <= limit_bytes
        )

    # The fewer share the state, the more of it each has.
    num_workers = train.min_workers or train.num_workers
    plan = MemoryPlan(
        shape, stage, field, train.memory, train.dtype, num_workers, has_gpu=train.gpus_per_worker > 0
    )
    if fits(plan):
        _check_host_memory(train, field, stage, plan)
        return
    raise UserError(shortage(plan, limit_bytes, source, fits))


def _check_host_memory(train: TrainConfig, field: str, stage: StageConfig, plan: MemoryPlan) -> None:
    """Check that offloaded data fits the host's memory, if it is known."""
    needed = plan.estimate().host_bytes * train.num_workers
    if ray_address() is not None or needed <= (there := host_memory_bytes()):
        return
    offloads = [name for name in ("offload_checkpoints", "offload_optimizer") if getattr(train.memory, name)]
    remedy = f"set it false and {field}.sequence_parallel_size higher"
    if fits_host_without_kept_attention(plan, there / train.num_workers):
        remedy = "set train.memory.keep_attention false"
    raise UserError(
        f"train.memory.{offloads[0]}: true needs about {needed / GIB:.1f} GiB of this machine's {there / GIB:.1f} "
        f"for {train.num_workers} workers in stage {stage.name}; {remedy}, or take machines with more memory"
    )


def _may_grow(train: TrainConfig) -> bool:
    """Whether more workers would help: not on this machine's CPUs, which share one memory."""
    return ray_address() is not None or train.worker_memory_gib is not None


def _worker_memory(train: TrainConfig) -> tuple[float, str] | None:
    """Bytes of a worker's device and how they are known; None for a cluster's that no setting tells."""
    if train.worker_memory_gib is not None:
        return train.worker_memory_gib * GIB, "train.worker_memory_gib"
    if ray_address() is not None:
        return None
    if train.gpus_per_worker:
        return min(gpu_memory_bytes()) * min(train.gpus_per_worker, 1.0), "this machine's smallest GPU"
    share = (
        f"this machine's memory / {train.num_workers}" if train.num_workers > 1 else "this machine's memory"
    )
    return host_memory_bytes() / train.num_workers, share
