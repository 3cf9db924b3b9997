"""Ring attention: queries stay, keys and values go around the ring while the previous tiles are computed.

After Liu et al. (arXiv 2310.01889), in the zigzag order of `sequence_layout`. In the backward pass the gradients of
keys and values follow them one step later, and end at their owner.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from app.training.parallel.kept_results import Results, computed_once
from app.training.parallel.kernels import AttentionKernel
from app.training.parallel.ring_tiles import Tile, tiles_of
from app.training.parallel.segments import Segments
from app.training.parallel.sinks import gradient_of_sink, with_sink

Work = tuple[Tile, Segments]
"""A tile, and the same for the kernel."""


@dataclass(frozen=True)
class Ring:
    """This rank's place in a ring, and the sequence that it holds a part of."""

    group: dist.ProcessGroup
    padded_tokens: int
    boundaries: tuple[int, ...]
    window: int | None = None
    """Tokens that a query sees, itself included; None: all before it."""
    _steps: dict[torch.device, tuple[tuple[Work, ...], ...]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @property
    def rank(self) -> int:
        return self.group.rank()

    @property
    def size(self) -> int:
        return self.group.size()

    def steps(self, device: torch.device) -> tuple[tuple[Work, ...], ...]:
        """What to compute after each move of the keys. Made once for all layers: its starts go to the device.

        Args:
            device: Of the kernel.
        """
        if device not in self._steps:
            self._steps[device] = tuple(
                tuple((tile, _segments(tile, self.window, device)) for tile in self._tiles(step))
                for step in range(self.size)
            )
        return self._steps[device]

    def _tiles(self, step: int) -> list[Tile]:
        source = (self.rank - step) % self.size
        return tiles_of(self.rank, source, self.size, self.padded_tokens, self.boundaries, self.window)


def ring_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    sink: Tensor | None,
    ring: Ring,
    scale: float,
    kernel: AttentionKernel,
) -> Tensor:
    """Causal attention of a sequence whose two chunks this rank holds, one after the other.

    Args:
        query: `[own tokens, query_heads, head_dim]`.
        key: `[own tokens, kv_heads, head_dim]`.
        value: The same.
        sink: A score for each query head that takes a share of the softmax and gives no value, `[query_heads]`.
        ring: The ranks that hold the rest.
        scale: Scale of the scores.
        kernel: What computes a tile.
    """
    output: Tensor = _RingAttention.apply(query, key, value, sink, ring, scale, kernel)
    return output


class _RingAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        sink: Tensor | None,
        ring: Ring,
        scale: float,
        kernel: AttentionKernel,
    ) -> Tensor:
        query, states = query.contiguous(), torch.stack((key, value))
        output, log_sum_exp = computed_once(lambda: _forward(query, states, sink, ring, scale, kernel))
        ctx.save_for_backward(query, states, sink, output, log_sum_exp)
        ctx.ring, ctx.scale, ctx.kernel = ring, scale, kernel
        return output

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        query, states, sink, output, log_sum_exp = ctx.saved_tensors
        ring: Ring = ctx.ring
        kernel: AttentionKernel = ctx.kernel
        grad_output = grad_outputs[0].contiguous()
        grad_query = torch.zeros_like(query, dtype=torch.float32)
        arriving: _Exchange | None = None
        for step, work in enumerate(ring.steps(query.device)):
            pending = _Exchange(states, ring) if step + 1 < ring.size else None
            grad_states = torch.zeros_like(states, dtype=torch.float32)
            for tile, segments in work:
                queries, keys = slice(*tile.queries), slice(*tile.keys)
                parts = kernel.backward(
                    grad_output[queries],
                    query[queries],
                    states[0, keys],
                    states[1, keys],
                    output[queries],
                    log_sum_exp[:, queries],
                    segments,
                    ctx.scale,
                )
                grad_query[queries] += parts[0]
                grad_states[0, keys] += parts[1]
                grad_states[1, keys] += parts[2]
            if arriving is not None:
                grad_states += arriving.wait()
            # After the last step this brings home what all others found for our own keys.
            arriving = _Exchange(grad_states, ring)
            if pending is not None:
                states = pending.wait()
        assert arriving is not None
        grad_key, grad_value = arriving.wait().to(query.dtype)
        grad_sink = None if sink is None else gradient_of_sink(grad_output, output, log_sum_exp, sink)
        return grad_query.to(query.dtype), grad_key, grad_value, grad_sink, None, None, None


def _forward(
    query: Tensor, states: Tensor, sink: Tensor | None, ring: Ring, scale: float, kernel: AttentionKernel
) -> Results:
    # Tiles are added up in float32: each addition would round otherwise.
    output = torch.zeros_like(query, dtype=torch.float32)
    log_sum_exp = query.new_full((query.shape[1], query.shape[0]), -torch.inf, dtype=torch.float32)
    for step, work in enumerate(ring.steps(query.device)):
        pending = _Exchange(states, ring) if step + 1 < ring.size else None
        for tile, segments in work:
            queries, keys = slice(*tile.queries), slice(*tile.keys)
            part, part_lse = kernel.forward(
                query[queries],
                states[0, keys],
                states[1, keys],
                segments,
                scale,
            )
            _add_tile(output[queries], log_sum_exp[:, queries], part, part_lse)
        if pending is not None:
            states = pending.wait()
    if sink is not None:
        # Once, after the last tile: it is one more key.
        output, log_sum_exp = with_sink(output, log_sum_exp, sink)
    return output.to(query.dtype), log_sum_exp


def _segments(tile: Tile, window: int | None, device: torch.device) -> Segments:
    if tile.boundaries is not None:
        return Segments.causal(tile.boundaries, device, window)
    num_queries, num_keys = tile.queries[1] - tile.queries[0], tile.keys[1] - tile.keys[0]
    return Segments.dense(num_queries, num_keys, device, tile.num_before)


def _add_tile(output: Tensor, log_sum_exp: Tensor, part: Tensor, part_lse: Tensor) -> None:
    """Add a tile's attention to that over the keys before, in place, each weighted by its share of the softmax."""
    total = torch.logaddexp(log_sum_exp, part_lse)
    output.mul_(_per_token(torch.exp(log_sum_exp - total)))
    output.add_(part * _per_token(torch.exp(part_lse - total)))
    log_sum_exp.copy_(total)


def _per_token(weights: Tensor) -> Tensor:
    """`[heads, tokens]` → `[tokens, heads, 1]`."""
    return weights.transpose(0, 1).unsqueeze(-1)


class _Exchange:
    """A tensor on its way to the next rank of the ring, while the previous one's is on its way here."""

    def __init__(self, sent: Tensor, ring: Ring) -> None:
        # Held until the end: the sending reads it.
        self._sent = sent.contiguous()
        self._received = torch.empty_like(self._sent)
        following = dist.get_global_rank(ring.group, (ring.rank + 1) % ring.size)
        previous = dist.get_global_rank(ring.group, (ring.rank - 1) % ring.size)
        self._works = dist.batch_isend_irecv(
            [
                dist.P2POp(dist.isend, self._sent, following, ring.group),
                dist.P2POp(dist.irecv, self._received, previous, ring.group),
            ]
        )

    def wait(self) -> Tensor:
        for work in self._works:
            work.wait()
        return self._received
