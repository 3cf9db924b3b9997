"""Attention on a GPU by the kernel of `torch.nn.attention.varlen` (torch 2.11 and newer): all documents at once."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from app.faults import UserError
from app.training.parallel.segments import Segments

_aten: Any = torch.ops.aten


@dataclass(frozen=True)
class FlashKernel:
    """torch's FlashAttention-2."""

    def describe(self) -> str:
        return "torch's FlashAttention-2 for packed documents"

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, segments: Segments, scale: float
    ) -> tuple[Tensor, Tensor]:
        check_half(query)
        output, log_sum_exp, *_ = _aten._flash_attention_forward(
            query,
            key,
            value,
            *segments.cumulative,
            *segments.longest,
            0.0,
            segments.is_causal,
            False,
            scale=scale,
            **_window_of(segments),
        )
        return output, log_sum_exp

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
        # No dropout: the random state is not read.
        random_state = torch.zeros(2, dtype=torch.uint64, device=query.device)
        unused = torch.empty(0, device=query.device)
        gradients: tuple[Tensor, Tensor, Tensor] = _aten._flash_attention_backward(
            grad_output.contiguous(),
            query,
            key,
            value,
            output,
            log_sum_exp.contiguous(),
            *segments.cumulative,
            *segments.longest,
            0.0,
            segments.is_causal,
            random_state,
            unused,
            scale=scale,
            **_window_of(segments),
        )
        return gradients


def check_half(query: Tensor) -> None:
    """See that a GPU's kernels take the numbers.

    Raises:
        UserError: They do not.
    """
    if query.dtype not in (torch.bfloat16, torch.float16):
        raise UserError(f"train.dtype: {query.dtype} has no flash kernel on a GPU; give bfloat16")


def _window_of(segments: Segments) -> dict[str, int]:
    if segments.num_before is None:
        return {}
    return {"window_size_left": segments.num_before, "window_size_right": 0 if segments.is_causal else -1}
