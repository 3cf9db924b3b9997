"""Ulysses: before attention, ranks exchange data so that each holds all tokens of its own heads; afterwards, back.

After Jacobs et al. (arXiv 2309.14509), for any number of heads: grouped heads are kept together where they divide,
key and value heads are repeated where they are too few, and zero heads are added where nothing divides.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.functional import pad


@dataclass(frozen=True)
class HeadPlan:
    """How heads are made divisible by the ranks of a Ulysses group."""

    kv_repeats: int
    """How many consecutive copies there are of each key and value head."""
    num_padding_heads: int
    """Number of zero heads appended to the queries, and to the repeated keys and values."""


def plan_heads(num_query_heads: int, num_kv_heads: int, ulysses_size: int) -> HeadPlan:
    """The fewest extra heads with which every rank holds the key and value heads of its query heads."""
    group = num_query_heads // num_kv_heads
    if num_query_heads % ulysses_size == 0:
        if num_kv_heads % ulysses_size == 0:
            return HeadPlan(1, 0)
        if ulysses_size % num_kv_heads == 0:
            return HeadPlan(ulysses_size // num_kv_heads, 0)
    return HeadPlan(group, -num_query_heads % ulysses_size)


def scatter_heads(states: Tensor, group: dist.ProcessGroup) -> Tensor:
    """`[own tokens, heads, head_dim]` of all heads → `[group's tokens, heads / ranks, head_dim]` of this rank's."""
    scattered: Tensor = _Scatter.apply(states, group)
    return scattered


def gather_heads(states: Tensor, group: dist.ProcessGroup) -> Tensor:
    """The way back of `scatter_heads`."""
    gathered: Tensor = _Gather.apply(states, group)
    return gathered


def spread_heads(
    query: Tensor, key: Tensor, value: Tensor, ulysses_size: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Repeat and pad heads by `plan_heads`; the first query heads stay what they were."""
    plan = plan_heads(query.shape[1], key.shape[1], ulysses_size)
    if plan.kv_repeats > 1:
        key, value = (states.repeat_interleave(plan.kv_repeats, dim=1) for states in (key, value))
    if plan.num_padding_heads:
        query, key, value = (pad(states, (0, 0, 0, plan.num_padding_heads)) for states in (query, key, value))
    return query, key, value


def own_heads(numbers: Tensor, num_own_heads: int, group: dist.ProcessGroup) -> Tensor:
    """Numbers for all query heads, `[query_heads]` → for those that this rank has after `scatter_heads`."""
    padded = pad(numbers, (0, num_own_heads * group.size() - len(numbers)))
    return padded[group.rank() * num_own_heads :][:num_own_heads]


class _Scatter(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, group: dist.ProcessGroup) -> Tensor:
        ctx.group = group
        return _scatter(states, group)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _gather(gradients[0], ctx.group), None


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, group: dist.ProcessGroup) -> Tensor:
        ctx.group = group
        return _gather(states, group)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _scatter(gradients[0], ctx.group), None


def _scatter(states: Tensor, group: dist.ProcessGroup) -> Tensor:
    num_tokens, num_heads, head_dim = states.shape
    by_rank = states.reshape(num_tokens, group.size(), num_heads // group.size(), head_dim).transpose(0, 1)
    return _exchange(by_rank, group).flatten(0, 1)


def _gather(states: Tensor, group: dist.ProcessGroup) -> Tensor:
    num_tokens, num_heads, head_dim = states.shape
    by_rank = states.reshape(group.size(), num_tokens // group.size(), num_heads, head_dim)
    return _exchange(by_rank, group).transpose(0, 1).flatten(1, 2)


def _exchange(by_rank: Tensor, group: dist.ProcessGroup) -> Tensor:
    """Part `i` of the first dimension goes to rank `i`, whose part for us takes its place."""
    # `contiguous` first: `empty_like` of a transposed tensor would keep its strides and receive into them.
    sent = by_rank.contiguous()
    received = torch.empty_like(sent)
    dist.all_to_all_single(received, sent, group=group)
    return received
