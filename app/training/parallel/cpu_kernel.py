"""Attention on a CPU by torch's flash operator, which has neither packed documents nor grouped heads: they are added.

Neither a mask nor the scores of a whole sequence are ever built; a window costs what it sees.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from app.training.parallel.segments import Segments

LEAST_BLOCK_QUERIES = 64
"""Of blocks with a window: smaller ones cost more calls than they save scores."""
_aten: Any = torch.ops.aten


@dataclass(frozen=True)
class CpuKernel:
    """The flash kernel of torch for a CPU, stretch by stretch."""

    def describe(self) -> str:
        return "torch's flash attention for CPUs"

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, segments: Segments, scale: float
    ) -> tuple[Tensor, Tensor]:
        output = torch.empty_like(query, memory_format=torch.contiguous_format)
        log_sum_exp = query.new_empty((query.shape[1], query.shape[0]), dtype=torch.float32)
        for queries, keys, mask in _stretches(segments, query):
            part, part_lse = _aten._scaled_dot_product_flash_attention_for_cpu(
                _heads_first(query[queries]),
                _heads_first(_repeat(key[keys], query)),
                _heads_first(_repeat(value[keys], query)),
                0.0,
                mask is None and segments.is_causal,
                attn_mask=mask,
                scale=scale,
            )
            output[queries] = part[0].transpose(0, 1)
            log_sum_exp[:, queries] = part_lse[0]
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
        grad_query = torch.empty_like(query, memory_format=torch.contiguous_format)
        grad_key = torch.zeros_like(key, memory_format=torch.contiguous_format)
        grad_value = torch.zeros_like(value, memory_format=torch.contiguous_format)
        for queries, keys, mask in _stretches(segments, query):
            parts = _aten._scaled_dot_product_flash_attention_for_cpu_backward(
                _heads_first(grad_output[queries]),
                _heads_first(query[queries]),
                _heads_first(_repeat(key[keys], query)),
                _heads_first(_repeat(value[keys], query)),
                _heads_first(output[queries]),
                log_sum_exp[:, queries].unsqueeze(0).contiguous(),
                0.0,
                mask is None and segments.is_causal,
                attn_mask=mask,
                scale=scale,
            )
            grad_query[queries] = parts[0][0].transpose(0, 1)
            grad_key[keys] += _sum_groups(parts[1][0].transpose(0, 1), key)
            grad_value[keys] += _sum_groups(parts[2][0].transpose(0, 1), value)
        return grad_query, grad_key, grad_value


def _stretches(segments: Segments, query: Tensor) -> Iterator[tuple[slice, slice, Tensor | None]]:
    """Queries and the keys that some of them see, and the mask where not all do.

    With a window a stretch is cut into blocks of queries, so that its cost follows the window.
    """
    for (start, stop), (first, last) in zip(pairwise(segments.queries), pairwise(segments.keys), strict=True):
        if start == stop:
            continue
        if segments.num_before is None or segments.num_before >= last - first:
            yield slice(start, stop), slice(first, last), None
            continue
        # Where a query's own place is among the keys.
        shift = last - stop
        for begin in range(start, stop, max(segments.num_before, LEAST_BLOCK_QUERIES)):
            end = min(begin + max(segments.num_before, LEAST_BLOCK_QUERIES), stop)
            low = max(begin + shift - segments.num_before, first)
            high = end + shift if segments.is_causal else last
            yield (
                slice(begin, end),
                slice(low, high),
                _mask(segments, begin + shift - low, query, end - begin, high - low),
            )


def _mask(segments: Segments, ahead: int, query: Tensor, num_queries: int, num_keys: int) -> Tensor:
    """What is added to the scores of a block whose first query's own place is `ahead` keys after the first one."""
    assert segments.num_before is not None
    places = torch.arange(num_queries).unsqueeze(1) + ahead
    keys = torch.arange(num_keys)
    is_seen = keys >= places - segments.num_before
    if segments.is_causal:
        is_seen &= keys <= places
    return query.new_zeros((1, 1, num_queries, num_keys)).masked_fill_(~is_seen, -torch.inf)


def _heads_first(states: Tensor) -> Tensor:
    """`[tokens, heads, head_dim]` → `[1, heads, tokens, head_dim]`."""
    return states.transpose(0, 1).unsqueeze(0).contiguous()


def _repeat(states: Tensor, query: Tensor) -> Tensor:
    """A key or value head for each query head: the CPU op knows no groups."""
    return states.repeat_interleave(query.shape[1] // states.shape[1], dim=1)


def _sum_groups(gradient: Tensor, states: Tensor) -> Tensor:
    _, num_heads, head_dim = states.shape
    return gradient.reshape(len(gradient), num_heads, -1, head_dim).sum(dim=2)
