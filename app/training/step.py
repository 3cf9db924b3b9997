"""One optimizer step: gradients of a batch that many ranks share, clipping, AdamW.

The trainer and the parity tests call the same function: what is compared with plain transformers is what trains.
"""

import math
from dataclasses import dataclass

import torch

from app.config import OptimizerConfig
from app.training.batches import Sequences, load_shard, num_targets_of_step, own_sequences
from app.training.model import LanguageModel
from app.training.parallel.process_groups import Workers


class NonFiniteError(RuntimeError):
    """The loss or the norm of the gradients is not a finite number; the weights are as they were."""

    def __init__(self, what: str, value: float) -> None:
        super().__init__(f"the {what} is {value}")
        self.what, self.value = what, value


@dataclass(frozen=True)
class StepResult:
    """What a step computed, the same on every rank."""

    loss: float
    """Mean cross entropy of a learned token of the batch, before the step."""
    grad_norm: float
    """Of all gradients together, before they were clipped."""
    expert_counts: torch.Tensor | None = None
    """Tokens of the batch that each expert got, `[layers with experts, experts]`."""


def train_step(
    model: LanguageModel,
    optimizer: torch.optim.Optimizer,
    sequences: Sequences,
    step: int,
    sequences_per_step: int,
    workers: Workers,
    *,
    learning_rate: float,
    max_grad_norm: float,
    router_loss_weight: float = 0.0,
) -> StepResult:
    """Change the weights once; every rank calls it.

    Args:
        model: Sharded.
        optimizer: Of its parameters.
        sequences: What the batches are made of.
        step: Which batch, counted from 0.
        sequences_per_step: Sequences of a batch.
        workers: All that train.
        learning_rate: Of this step.
        max_grad_norm: The gradients are scaled down to this norm.
        router_loss_weight: Of the loss that keeps experts evenly busy.

    Raises:
        NonFiniteError: the loss or the norm of the gradients is no number; nothing was changed.
    """
    loss, counts = add_gradients(model, sequences, step, sequences_per_step, workers, router_loss_weight)
    _refuse_non_finite("loss", loss)
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
    grad_norm = float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)
    _refuse_non_finite("gradient norm", grad_norm)
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return StepResult(loss, grad_norm, counts)


def add_gradients(
    model: LanguageModel,
    sequences: Sequences,
    step: int,
    sequences_per_step: int,
    workers: Workers,
    router_loss_weight: float = 0.0,
) -> tuple[float, torch.Tensor | None]:
    """Add the gradients of a batch's loss to those that are there.

    Returns:
        The loss, a learned token's mean, and the batch's tokens for each expert.
    """
    # All ranks know the whole batch's tokens. FSDP averages gradients over the ranks, hence their number.
    num_targets = max(num_targets_of_step(sequences, step, sequences_per_step), 1)
    loss_scale, router_scale = (
        workers.size / num_targets,
        router_loss_weight * workers.size / sequences_per_step,
    )
    losses = torch.zeros((), device=workers.device)
    counts: torch.Tensor | None = None
    for index in own_sequences(step, sequences_per_step, workers.data_rank, workers.data_size):
        shard = load_shard(sequences, index, workers.parallel)
        # A group without a sequence has nothing to learn from its routers either.
        weight = 0.0 if index is None else 1.0
        loss = model(
            shard.input_ids.to(workers.device),
            shard.position_ids.to(workers.device),
            shard.labels.to(workers.device),
            shard.packed,
            loss_scale,
            router_scale * weight,
        )
        loss.backward()
        losses += loss.detach()
        if (own := model.experts.counts()) is not None:
            counts = own * weight if counts is None else counts + own * weight
    return workers.sum(losses).item() / workers.size, None if counts is None else workers.sum(counts).cpu()


def _refuse_non_finite(what: str, value: float) -> None:
    if not math.isfinite(value):
        raise NonFiniteError(what, value)


def build_optimizer(model: LanguageModel, settings: OptimizerConfig) -> torch.optim.Optimizer:
    """AdamW on the float32 shards; only matrices decay."""
    # The others, such as a router's corrections, would have no state for a checkpoint.
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in trained if parameter.ndim >= 2]
    vectors = [parameter for parameter in trained if parameter.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        betas=(settings.beta1, settings.beta2),
        eps=settings.epsilon,
        # One kernel for many parameters, on GPUs and on the host.
        fused=True,
    )
