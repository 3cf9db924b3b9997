"""Finds the smallest change with which a stage fits a worker's memory, by trying changes on the estimate."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from app.config import StageConfig, TrainMemoryConfig
from app.models.shape import ModelShape
from app.quantities import GIB
from app.training.memory.estimate import MemoryEstimate, estimate_memory
from app.training.parallel.layout import layout_of

SMALL_MLP_TILE_TOKENS = 4096
SMALL_LOSS_CHUNK_TOKENS = 512
MOST_WORKERS = 4096


@dataclass(frozen=True)
class MemoryPlan:
    """Everything that a worker's memory depends on in one stage."""

    shape: ModelShape
    stage: StageConfig
    field: str
    """Name of the stage in the settings."""
    memory: TrainMemoryConfig
    dtype: str
    num_workers: int
    has_gpu: bool

    def estimate(self) -> MemoryEstimate:
        """Bytes of one worker.

        Raises:
            UserError: The heads don't allow the stage's Ulysses groups.
        """
        stage = self.stage
        layout = layout_of(
            stage.sequence_parallel_size,
            stage.sequence_parallel_mode,
            self.shape.num_heads,
            stage.ulysses_size,
        )
        return estimate_memory(
            self.shape,
            stage.max_seq_tokens,
            layout,
            self.memory,
            self.dtype,
            self.num_workers,
            self.has_gpu,
        )


def shortage(plan: MemoryPlan, limit_bytes: float, source: str, fits: Callable[[MemoryPlan], bool]) -> str:
    """Why a stage does not fit a worker, and the smallest change that would make it.

    Args:
        plan: The stage.
        limit_bytes: Of a worker.
        source: How that is known.
        fits: Whether another plan would.
    """
    needed, remedy = plan.estimate(), find_remedy(plan, fits)
    advice = (
        f"set {remedy}" if remedy else "give workers with more memory, a shorter stage or a smaller model"
    )
    return (
        f"{plan.field}.max_seq_tokens: {plan.stage.max_seq_tokens} (stage {plan.stage.name}) needs about "
        f"{needed.total_bytes / GIB:.1f} GiB a worker ({needed.describe()}), which has {limit_bytes / GIB:.1f} "
        f"({source}); {advice}"
    )


def fits_host_without_kept_attention(plan: MemoryPlan, limit_bytes: float) -> bool:
    """Whether what is offloaded fits a worker's share of the host once attention is computed again.

    Args:
        plan: Offloads more than that.
        limit_bytes: Host memory of one worker.
    """
    memory = plan.memory.model_copy(update={"keep_attention": False})
    return replace(plan, memory=memory).estimate().host_bytes <= limit_bytes


Change = tuple[str, Callable[[MemoryPlan], MemoryPlan]]
"""Words for it, and what it makes of a plan."""


def find_remedy(plan: MemoryPlan, fits: Callable[[MemoryPlan], bool]) -> str | None:
    """Words for the smallest change that makes a plan fit: one setting, then several, then more workers.

    Args:
        plan: Does not fit.
        fits: Whether another one does.
    """
    saving = list(_memory_changes(plan))
    wider = list(_wider_groups(plan, plan.num_workers))
    for change in [*saving, *wider]:
        if fits(_apply(plan, [change])):
            return _words([change])
    for last in (None, *wider, *_more_workers(plan)):
        changes = saving if last is None else [*saving, last]
        if fits(_apply(plan, changes)):
            return _words(_without_needless(plan, changes, fits))
    return None


def _memory_changes(plan: MemoryPlan) -> Iterator[Change]:
    """Cheapest first."""
    memory = plan.memory
    if not memory.checkpoint_activations:
        yield _setting("checkpoint_activations", True)
    if (memory.mlp_tile_tokens or plan.stage.max_seq_tokens) > SMALL_MLP_TILE_TOKENS:
        yield _setting("mlp_tile_tokens", SMALL_MLP_TILE_TOKENS)
    if memory.loss_chunk_tokens > SMALL_LOSS_CHUNK_TOKENS:
        yield _setting("loss_chunk_tokens", SMALL_LOSS_CHUNK_TOKENS)
    if plan.has_gpu and not memory.offload_checkpoints:
        yield _setting("offload_checkpoints", True)
    if plan.has_gpu and not memory.offload_optimizer:
        yield _setting("offload_optimizer", True)
    if memory.checkpoint_activations and memory.keep_attention:
        yield _setting("keep_attention", False)


def _setting(name: str, value: bool | int) -> Change:
    def change(plan: MemoryPlan) -> MemoryPlan:
        return replace(plan, memory=plan.memory.model_copy(update={name: value}))

    return f"train.memory.{name} {str(value).lower()}", change


def _wider_groups(plan: MemoryPlan, num_workers: int) -> Iterator[Change]:
    """Let more of the existing workers share one sequence."""
    for size in range(plan.stage.sequence_parallel_size + 1, num_workers + 1):
        if num_workers % size == 0:
            yield f"{plan.field}.sequence_parallel_size {size}", _widen(size)


def _more_workers(plan: MemoryPlan) -> Iterator[Change]:
    size, num_workers = plan.stage.sequence_parallel_size, plan.num_workers
    while num_workers * 2 <= MOST_WORKERS:
        num_workers, size = num_workers * 2, max(size, num_workers) * 2
        words = f"train.num_workers {num_workers} and {plan.field}.sequence_parallel_size {size}"
        yield words, _widen(size, num_workers)


def _widen(size: int, num_workers: int | None = None) -> Callable[[MemoryPlan], MemoryPlan]:
    def change(plan: MemoryPlan) -> MemoryPlan:
        # Ulysses groups as large as the mode has them: a size of the user's own may not divide the new one.
        stage = plan.stage.model_copy(update={"sequence_parallel_size": size, "ulysses_size": None})
        return replace(plan, stage=stage, num_workers=num_workers or plan.num_workers)

    return change


def _without_needless(
    plan: MemoryPlan, changes: list[Change], fits: Callable[[MemoryPlan], bool]
) -> list[Change]:
    needed = changes
    for change in changes:
        fewer = [other for other in needed if other is not change]
        if fits(_apply(plan, fewer)):
            needed = fewer
    return needed


def _apply(plan: MemoryPlan, changes: list[Change]) -> MemoryPlan:
    for _, change in changes:
        plan = change(plan)
    return plan


def _words(changes: list[Change]) -> str:
    return " and ".join(words for words, _ in changes)
