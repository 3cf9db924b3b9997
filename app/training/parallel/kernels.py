"""Attention over the local tokens, forward and backward, with the log-sum-exp that a ring needs to combine tiles.

No kernel builds a mask or the scores of a whole sequence. Queries are `[tokens, query_heads, head_dim]`, keys and
values `[tokens, kv_heads, head_dim]`, a log-sum-exp is float32 `[query_heads, tokens]`.
"""

from typing import Literal, Protocol

import torch
from torch import Tensor

from app.faults import UserError
from app.training.parallel.cpu_kernel import CpuKernel
from app.training.parallel.cudnn_kernel import CudnnKernel
from app.training.parallel.flash_kernel import FlashKernel
from app.training.parallel.segments import Segments

KernelName = Literal["flash", "cudnn"]
"""As `train.attention_kernel` has it."""


class AttentionKernel(Protocol):
    """Computes attention and its gradients on one device."""

    def describe(self) -> str:
        """What computes, in words for a log."""
        ...

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, segments: Segments, scale: float
    ) -> tuple[Tensor, Tensor]:
        """Output `[tokens, query_heads, head_dim]` and log-sum-exp.

        Raises:
            UserError: The kernel does not take this type.
        """
        ...

    def backward(
        self,
        grad_output: Tensor,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        output: Tensor,
        log_sum_exp: Tensor,
        segments: Segments,
        scale: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of query, key and value.

        `output` and `log_sum_exp` are those over all keys that the queries saw: of a tile, not the tile's own.
        """
        ...


def kernel_of(device: torch.device, name: KernelName = "flash") -> AttentionKernel:
    """The kernel of a device.

    Args:
        device: Where the tensors are.
        name: Which one of CUDA's.

    Raises:
        UserError: The device has no such kernel.
    """
    if device.type == "cuda":
        return CudnnKernel() if name == "cudnn" else FlashKernel()
    if name != "flash":
        raise UserError(
            f"train.attention_kernel: {name} needs CUDA, and this is a {device.type}; give flash, or GPUs"
        )
    return CpuKernel()
