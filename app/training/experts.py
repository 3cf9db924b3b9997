"""Mixtures of experts: how many tokens each expert gets, and the loss that keeps them even.

The loss is that of the Switch Transformer (arXiv 2101.03961, equations 4 to 6) as transformers has it: the number of
experts times the sum over experts of its share of the tokens times its mean probability, over all layers at once.
Shares and means are those of a whole sequence, on however many ranks it lies. Its padding, fewer tokens than twice the
ranks, counts.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from app.models.shape import experts_of
from app.training.parallel.attention import SequenceParallel


class ExpertWatch:
    """Sees what the routers of a decoder's layers decide, in its forward passes.

    Args:
        layers: Layers of a transformers decoder; without experts there is nothing to see.
    """

    def __init__(self, layers: nn.ModuleList) -> None:
        self.keeps_probabilities = False
        """Whether `loss` is wanted."""
        self._is_watching = False
        self._counts: dict[int, Tensor] = {}
        self._probabilities: list[Tensor] = []
        self._num_routed = 0
        for number, layer in enumerate(layers):
            for experts in experts_of(layer):
                experts.register_forward_pre_hook(partial(self._see_choice, number), with_kwargs=True)
            for module in layer.modules():
                if type(module).__name__.lower().endswith("router"):
                    module.register_forward_hook(self._see_router)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Around a forward pass. Layers that are computed again in the backward pass are so not seen twice."""
        self._counts, self._probabilities, self._num_routed, self._is_watching = {}, [], 0, True
        try:
            yield
        finally:
            self._is_watching = False

    def counts(self) -> Tensor | None:
        """Own tokens that the last pass routed to each expert, `[layers with experts, experts]`; None without."""
        return torch.stack(list(self._counts.values())) if self._counts else None

    def loss(self, parallel: SequenceParallel) -> Tensor | None:
        """This rank's part of the last pass's loss; None without routers.

        The parts of the ranks that share a sequence add up to its loss, and so do the gradients.
        """
        if not self._probabilities:
            return None
        counts = torch.stack(list(self._counts.values())).sum(dim=0).float()
        for group in (parallel.ulysses_group, parallel.ring_group):
            if group is not None and group.size() > 1:
                dist.all_reduce(counts, group=group)
        # All ranks hold as many tokens.
        num_routed = self._num_routed * parallel.layout.size
        probability = torch.stack(self._probabilities).sum(dim=0) / num_routed
        return len(counts) * (counts / num_routed * probability).sum()

    def _see_choice(self, number: int, experts: nn.Module, arguments: Any, keywords: dict[str, Any]) -> None:
        if not self._is_watching:
            return
        chosen = next(
            value
            for value in (*arguments, *keywords.values())
            if isinstance(value, Tensor) and not value.is_floating_point()
        ).flatten()
        num_experts = len(next(experts.parameters()))
        # `bincount` would have a GPU wait for the host.
        counts = chosen.new_zeros(num_experts).scatter_add_(0, chosen, torch.ones_like(chosen))
        # A tiled MLP is called for each tile.
        before = self._counts.get(number)
        self._counts[number] = counts if before is None else before + counts

    def _see_router(self, router: nn.Module, arguments: Any, outputs: Any) -> None:
        if not self.keeps_probabilities:
            return
        found = [value for value in outputs if isinstance(value, Tensor) and value.is_floating_point()]
        logits = max(found, key=lambda value: value.shape[-1])
        # Summed here, inside of the layer: what the backward pass needs is computed again with it. So it must be done
        # each time, and kept once.
        probabilities = logits.float().softmax(dim=-1).sum(dim=0)
        if self._is_watching:
            self._probabilities.append(probabilities)
            self._num_routed += len(logits)


def with_gradient_of(loss: Tensor, other: Tensor) -> Tensor:
    """`loss`, whose gradients are those of `loss + other`."""
    joined: Tensor = _WithGradientOf.apply(loss, other)
    return joined


class _WithGradientOf(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, loss: Tensor, other: Tensor) -> Tensor:
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        return gradients[0], gradients[0].clone()


def router_loss_weight_of(config: Any, weight: float | None) -> float:
    """How much the routers' loss counts: what the settings say, otherwise what the model itself says.

    Args:
        config: transformers' configuration of the text model.
        weight: Of the settings.
    """
    if weight is not None:
        return weight
    has_loss = getattr(config, "output_router_logits", False)
    return float(getattr(config, "router_aux_loss_coef", 0.0) or 0.0) if has_loss else 0.0
