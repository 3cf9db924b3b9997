"""Counts what a training step computes: calls of attention kernels, and tokens that MLPs take in."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

FORWARDS = (
    "_scaled_dot_product_flash_attention_for_cpu",
    "_flash_attention_forward",
    "_scaled_dot_product_cudnn_attention",
)
"""Operators of torch that our attention calls in its forward pass."""
BACKWARDS = (
    "_scaled_dot_product_flash_attention_for_cpu_backward",
    "_flash_attention_backward",
    "_scaled_dot_product_cudnn_attention_backward",
)
"""The same of its backward pass."""


NUM_PRODUCTS = 2, 5
"""Of a score's vectors, forward and backward."""


class AttentionCalls(TorchDispatchMode):
    """Counts the calls of attention kernels, forward and backward: as many of each where nothing is computed again."""

    def __init__(self) -> None:
        super().__init__()
        self.num_forward, self.num_backward = 0, 0
        self.flops = 0.0
        """Operations of the calls on a CPU, whose kernel torch does not count."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = func.overloadpacket.__name__
        self.num_forward += name in FORWARDS
        self.num_backward += name in BACKWARDS
        if name == FORWARDS[0]:
            # Arguments that are the operator's defaults are left out.
            self.flops += NUM_PRODUCTS[0] * _flops_of_scores(args[0], args[1], is_causal=any(args[4:5]))
        elif name == BACKWARDS[0]:
            self.flops += NUM_PRODUCTS[1] * _flops_of_scores(args[1], args[2], is_causal=args[7])
        return func(*args, **kwargs or {})


def _flops_of_scores(query: Tensor, key: Tensor, is_causal: bool) -> float:
    """Of one product of queries and keys, `[1, heads, tokens, head_dim]`; half of it where the other half is hidden."""
    return (1.0 if is_causal else 2.0) * query.numel() * key.shape[2]


@contextmanager
def count_mlp_tokens(layers: nn.ModuleList) -> Iterator[list[int]]:
    """Inside the block, tokens that each call of the layers' MLPs takes in are added to a list.

    Counted at the first product of each MLP, which every forward pass computes, also one that is cut short because
    nothing needs its end.
    """
    tokens: list[int] = []
    first = [
        next(module for module in layer.mlp.modules() if isinstance(module, nn.Linear)) for layer in layers
    ]
    hooks = [
        module.register_forward_pre_hook(lambda _, arguments: tokens.append(arguments[0].shape[:-1].numel()))
        for module in first
    ]
    try:
        yield tokens
    finally:
        for hook in hooks:
            hook.remove()
