"""Attention on a GPU by cuDNN, which is faster than FlashAttention-2 on Hopper and newer, one stretch at a time.

It prepares a plan for each new length and knows no packed documents. So it computes long stretches, of documents or of
a ring's tiles; short ones, windows and heads that it does not take stay with `FlashKernel`. Its log-sum-exp is
`[1, heads, tokens, 1]`, its states are `[1, heads, tokens, head_dim]` of any strides whose last is 1: views of ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from app.training.parallel.flash_kernel import FlashKernel, check_half
from app.training.parallel.segments import Part, Segments

LEAST_TOKENS = 8192
"""Of queries, and of keys, of a stretch that is worth a plan of its own."""
MOST_HEAD_DIM = 128
HEAD_DIM_UNIT = 8
MOST_NUMBERS = 2**31 - 1
"""Of one tensor: more are not counted by 32 bits, which kernels may use inside."""
_aten: Any = torch.ops.aten


@dataclass(frozen=True)
class CudnnKernel:
    """cuDNN for long stretches, `FlashKernel` for the rest."""

    least_tokens: int = LEAST_TOKENS
    most_numbers: int = MOST_NUMBERS
    flash: FlashKernel = field(default_factory=FlashKernel)

    def describe(self) -> str:
        return f"cuDNN from {self.least_tokens:,} tokens on, {self.flash.describe()} below"

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, segments: Segments, scale: float
    ) -> tuple[Tensor, Tensor]:
        check_half(query)
        parts = self._parts(segments, query)
        found = [self._forward(part, query, key, value, segments, scale) for part in parts]
        if len(found) == 1:
            return found[0]
        return torch.cat([output for output, _ in found]), torch.cat([lse for _, lse in found], dim=1)

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
        gradients: list[tuple[Tensor, Tensor, Tensor]] = []
        for part in self._parts(segments, query):
            own = (
                grad_output[part.queries],
                query[part.queries],
                key[part.keys],
                value[part.keys],
                output[part.queries],
                log_sum_exp[:, part.queries],
            )
            if part.packed is not None:
                gradients.append(self.flash.backward(*own, part.packed, scale))
            else:
                gradients.append(self._by_cudnn_backward(*own, segments.is_causal, scale))
        if len(gradients) == 1:
            return gradients[0]
        grad_query, grad_key, grad_value = (torch.cat(column) for column in zip(*gradients, strict=True))
        return grad_query, grad_key, grad_value

    def _parts(self, segments: Segments, query: Tensor) -> tuple[Part, ...]:
        if segments.num_before is not None or not takes_heads(query.shape[-1]):
            return (segments.as_one_part(),)
        return segments.parts(self.least_tokens)

    def _forward(
        self, part: Part, query: Tensor, key: Tensor, value: Tensor, segments: Segments, scale: float
    ) -> tuple[Tensor, Tensor]:
        query, key, value = query[part.queries], key[part.keys], value[part.keys]
        if part.packed is not None:
            return self.flash.forward(query, key, value, part.packed, scale)
        outputs, sums = [], []
        for own, own_kv in self._head_groups(query, key):
            output, log_sum_exp, *_ = _aten._scaled_dot_product_cudnn_attention(
                _batch_of(query[:, own]),
                _batch_of(key[:, own_kv]),
                _batch_of(value[:, own_kv]),
                None,
                True,
                0.0,
                segments.is_causal,
                False,
                scale=scale,
            )
            outputs.append(output[0].transpose(0, 1))
            sums.append(log_sum_exp.reshape(output.shape[1], output.shape[2]))
        return _joined(outputs, 1), _joined(sums, 0)

    def _by_cudnn_backward(
        self,
        grad_output: Tensor,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        output: Tensor,
        log_sum_exp: Tensor,
        is_causal: bool,
        scale: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        # No dropout: the random state is not read.
        random_state = torch.zeros((), dtype=torch.int64, device=query.device)
        found = []
        for own, own_kv in self._head_groups(query, key):
            gradients = _aten._scaled_dot_product_cudnn_attention_backward(
                _batch_of(grad_output[:, own]),
                _batch_of(query[:, own]),
                _batch_of(key[:, own_kv]),
                _batch_of(value[:, own_kv]),
                _batch_of(output[:, own]),
                log_sum_exp[own].contiguous().view(1, -1, len(query), 1),
                random_state,
                random_state,
                # Neither a bias nor stretches inside of the batch.
                None,
                None,
                None,
                len(query),
                len(key),
                0.0,
                is_causal,
                scale=scale,
            )
            found.append([gradient[0].transpose(0, 1) for gradient in gradients])
        grad_query, grad_key, grad_value = (
            _joined(list(column), 1).contiguous() for column in zip(*found, strict=True)
        )
        return grad_query, grad_key, grad_value

    def _head_groups(self, query: Tensor, key: Tensor) -> Iterator[tuple[slice, slice]]:
        """Query heads and their key heads: all at once, or as many as keep each tensor countable."""
        num_kv_heads = key.shape[1]
        group = query.shape[1] // num_kv_heads
        numbers = max(len(query) * group, len(key)) * query.shape[2]
        most = num_kv_heads if numbers * num_kv_heads <= self.most_numbers else self.most_numbers // numbers
        most = max(most, 1)
        for start in range(0, num_kv_heads, most):
            stop = min(start + most, num_kv_heads)
            yield slice(start * group, stop * group), slice(start, stop)


def takes_heads(head_dim: int) -> bool:
    """Whether cuDNN computes attention and its gradients for heads of this size."""
    return head_dim <= MOST_HEAD_DIM and head_dim % HEAD_DIM_UNIT == 0


def _batch_of(states: Tensor) -> Tensor:
    """`[tokens, heads, head_dim]` → `[1, heads, tokens, head_dim]`, a view where tokens lie one after the other."""
    # The batch first, so that its stride is that of a whole batch.
    return states.contiguous().unsqueeze(0).transpose(1, 2)


def _joined(parts: list[Tensor], dim: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=dim)
