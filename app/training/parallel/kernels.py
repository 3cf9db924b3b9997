"""Attention over the local tokens, forward and backward, with the log-sum-exp that a ring needs to combine tiles.

On CUDA the flash kernel of `torch.nn.attention.varlen` (torch 2.11 and newer), on a CPU torch's flash op. Neither
builds a mask or the scores of a whole sequence. Queries are `[tokens, query_heads, head_dim]`, keys and values
`[tokens, kv_heads, head_dim]`, a log-sum-exp is float32 `[query_heads, tokens]`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from app.faults import UserError

LEAST_BLOCK_QUERIES = 64
"""Of a CPU's blocks with a window: smaller ones cost more calls than they save scores."""
_aten: Any = torch.ops.aten


@dataclass(frozen=True)
class Segments:
    """Stretches of queries and of keys that meet each other and nothing else."""

    queries: tuple[int, ...]
    """Cumulative starts of the queries, `[0, ..., query tokens]`."""
    keys: tuple[int, ...]
    """Cumulative starts of the keys; with `is_causal` equal to `queries`."""
    is_causal: bool
    """Whether a query sees no key after its own position in the stretch."""
    device: torch.device
    """Device on which the kernel expects the starts."""
    num_before: int | None = None
    """Keys before a query's own place that it sees at most; the last query's place is the last key's. None: all."""

    @staticmethod
    def causal(boundaries: Sequence[int], device: torch.device, window: int | None = None) -> "Segments":
        """Packed documents, each causal by itself; `boundaries` are `[0, ..., tokens]`.

        Args:
            boundaries: Starts of the documents and the end.
            device: Of the kernel.
            window: Tokens that a query sees, itself included; None: all before it.
        """
        num_before = None if window is None else window - 1
        return Segments(tuple(boundaries), tuple(boundaries), True, device, num_before)

    @staticmethod
    def dense(
        num_queries: int, num_keys: int, device: torch.device, num_before: int | None = None
    ) -> "Segments":
        """Every query sees every key from `num_before` before its own place on."""
        return Segments((0, num_queries), (0, num_keys), False, device, num_before)

    @cached_property
    def cumulative(self) -> tuple[Tensor, Tensor]:
        """Both starts as the kernel takes them, int32."""
        return tuple(
            torch.tensor(starts, dtype=torch.int32, device=self.device)
            for starts in (self.queries, self.keys)
        )

    @property
    def window(self) -> dict[str, int]:
        """The window as CUDA's kernel takes it."""
        if self.num_before is None:
            return {}
        return {"window_size_left": self.num_before, "window_size_right": 0 if self.is_causal else -1}

    @cached_property
    def longest(self) -> tuple[int, int]:
        """Most queries and most keys of one stretch."""
        return _longest(self.queries), _longest(self.keys)


def _longest(starts: Sequence[int]) -> int:
    return max((stop - start for start, stop in pairwise(starts)), default=0)


def attention_forward(
    query: Tensor, key: Tensor, value: Tensor, segments: Segments, scale: float
) -> tuple[Tensor, Tensor]:
    """Output `[tokens, query_heads, head_dim]` and log-sum-exp.

    Raises:
        UserError: The kernel does not take this type on a GPU.
    """
    if query.is_cuda:
        _check_half(query)
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
            **segments.window,
        )
        return output, log_sum_exp
    return _cpu_forward(query, key, value, segments, scale)


def attention_backward(
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
    if query.is_cuda:
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
            **segments.window,
        )
        return gradients
    return _cpu_backward(grad_output, query, key, value, output, log_sum_exp, segments, scale)


def _check_half(query: Tensor) -> None:
    if query.dtype not in (torch.bfloat16, torch.float16):
        raise UserError(f"train.dtype: {query.dtype} has no flash kernel on a GPU; give bfloat16")


def _cpu_forward(
    query: Tensor, key: Tensor, value: Tensor, segments: Segments, scale: float
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


def _cpu_backward(
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
