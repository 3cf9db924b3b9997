"""Attention of a packed sequence that is spread over several ranks, as an attention function for transformers.

Ulysses inside a group, a ring over the groups, either or neither (`sequence_layout`). Documents that share a sequence
never see each other. Nothing of the size of sequence x sequence is ever built.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh

from app.faults import UserError
from app.training.parallel.kept_results import Results, computed_once
from app.training.parallel.kernels import AttentionKernel, kernel_of
from app.training.parallel.layout import SequenceLayout
from app.training.parallel.ring import Ring, ring_attention
from app.training.parallel.segments import Segments
from app.training.parallel.sinks import gradient_of_sink, with_sink
from app.training.parallel.ulysses import gather_heads, own_heads, scatter_heads, spread_heads

ATTENTION = "longstrap"
"""Name under which transformers finds the attention."""
HARMLESS_ARGUMENTS = frozenset(
    {
        "position_ids",
        "position_embeddings",
        "cache_position",
        "use_cache",
        "output_attentions",
        "is_causal",
        "dropout",
    }
)
"""Arguments that transformers passes on and that change nothing here."""


@dataclass(frozen=True)
class SequenceParallel:
    """This rank's place among those that share a sequence."""

    layout: SequenceLayout = field(default_factory=SequenceLayout)
    rank: int = 0
    ulysses_group: dist.ProcessGroup | None = None
    ring_group: dist.ProcessGroup | None = None

    @staticmethod
    def of(mesh: DeviceMesh, layout: SequenceLayout) -> "SequenceParallel":
        """From a mesh with the dimensions `data`, `ring` and `ulysses`."""
        rank = mesh.get_local_rank("ring") * layout.ulysses_size + mesh.get_local_rank("ulysses")
        return SequenceParallel(layout, rank, mesh.get_group("ulysses"), mesh.get_group("ring"))


@dataclass(frozen=True)
class PackedSequence:
    """The sequence that a forward pass is about, and how it is shared."""

    boundaries: tuple[int, ...]
    """Starts of the sequence's documents and its end, `[0, ..., padded tokens]`."""
    parallel: SequenceParallel = field(default_factory=SequenceParallel)
    """The ranks that share the sequence."""
    _segments: dict[tuple[torch.device, int | None], Segments] = field(
        default_factory=dict, repr=False, compare=False
    )
    _rings: dict[int | None, Ring] = field(default_factory=dict, repr=False, compare=False)

    @property
    def padded_tokens(self) -> int:
        return self.boundaries[-1]

    @property
    def longest_document_tokens(self) -> int:
        return max(end - start for start, end in pairwise(self.boundaries))

    def segments(self, device: torch.device, window: int | None = None) -> Segments:
        """The whole sequence for the kernel; made once for all layers with such a window."""
        if (device, window) not in self._segments:
            self._segments[device, window] = Segments.causal(self.boundaries, device, window)
        return self._segments[device, window]

    def ring(self, window: int | None = None) -> Ring:
        """The ring that shares the sequence; made once for all layers with such a window."""
        if window not in self._rings:
            assert self.parallel.ring_group is not None
            self._rings[window] = Ring(self.parallel.ring_group, self.padded_tokens, self.boundaries, window)
        return self._rings[window]


_SEQUENCE: ContextVar[tuple[PackedSequence, AttentionKernel | None]] = ContextVar("sequence")


@contextmanager
def attending_to(packed: PackedSequence, kernel: AttentionKernel | None = None) -> Iterator[None]:
    """Inside the block, transformers' layers attend within this sequence.

    Args:
        packed: The sequence.
        kernel: What computes their attention; None: the device's usual one.
    """
    token = _SEQUENCE.set((packed, kernel))
    try:
        yield
    finally:
        _SEQUENCE.reset(token)


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    packed: PackedSequence,
    scale: float,
    window: int | None = None,
    sink: Tensor | None = None,
    kernel: AttentionKernel | None = None,
) -> Tensor:
    """Causal attention within each document.

    Args:
        query: `[own tokens, query_heads, head_dim]`.
        key: `[own tokens, kv_heads, head_dim]`.
        value: The same.
        packed: The sequence that the tokens are a part of.
        scale: Scale of the scores.
        window: Tokens that a query sees, itself included; None: all before it.
        sink: A score for each query head that takes a share of the softmax and gives no value, `[query_heads]`.
        kernel: What computes; None: the device's usual one.

    Returns:
        `[own tokens, query_heads, head_dim]`.
    """
    parallel, num_heads = packed.parallel, query.shape[1]
    kernel = kernel or kernel_of(query.device)
    layout = parallel.layout
    if layout.ulysses_size > 1:
        assert parallel.ulysses_group is not None
        group = parallel.ulysses_group
        query, key, value = (
            scatter_heads(states, group) for states in spread_heads(query, key, value, layout.ulysses_size)
        )
        sink = None if sink is None else own_heads(sink, query.shape[1], group)
    if layout.ring_size > 1:
        output = ring_attention(query, key, value, sink, packed.ring(window), scale, kernel)
    else:
        segments = packed.segments(query.device, window)
        output = _LocalAttention.apply(query, key, value, sink, segments, scale, kernel)
    if layout.ulysses_size > 1:
        output = gather_heads(output, group)[:, :num_heads]
    return output


def register_attention() -> None:
    """Make `attn_implementation="longstrap"` known to transformers."""
    from transformers import AttentionInterface

    AttentionInterface.register(ATTENTION, attention_of_transformers)


def attention_of_transformers(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    s_aux: Tensor | None = None,
    **arguments: Any,
) -> tuple[Tensor, None]:
    """`attend` as transformers calls it: `[1, heads, own tokens, head_dim]` in, `[1, own tokens, heads, head_dim]` out.

    The sequence is that of `attending_to`.

    Raises:
        UserError: The model asks its attention for something that this one does not do.
    """
    packed, kernel = _SEQUENCE.get()
    unknown = [
        name for name, value in arguments.items() if value is not None and name not in HARMLESS_ARGUMENTS
    ]
    if dropout:
        unknown.append(f"dropout={dropout}")
    if attention_mask is not None:
        unknown.append("attention_mask")
    if unknown or query.shape[0] != 1:
        raise UserError(
            f"train.model: {type(module).__name__} needs {', '.join(unknown) or 'a batch of sequences'}, which "
            f"sequence-parallel attention does not support; give a model without"
        )
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    query, key, value = (states[0].transpose(0, 1) for states in (query, key, value))
    # A window that no document reaches beyond is none.
    is_windowed = sliding_window is not None and sliding_window < packed.longest_document_tokens
    window = sliding_window if is_windowed else None
    output = attend(query, key, value, packed, scale, window, s_aux, kernel)
    return output.unsqueeze(0), None


class _LocalAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        sink: Tensor | None,
        segments: Segments,
        scale: float,
        kernel: AttentionKernel,
    ) -> Tensor:
        query, key, value = query.contiguous(), key.contiguous(), value.contiguous()

        def compute() -> Results:
            results = kernel.forward(query, key, value, segments, scale)
            return results if sink is None else with_sink(*results, sink)

        output, log_sum_exp = computed_once(compute)
        ctx.save_for_backward(query, key, value, sink, output, log_sum_exp)
        ctx.segments, ctx.scale, ctx.kernel = segments, scale, kernel
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, sink, output, log_sum_exp = ctx.saved_tensors
        grad_output = gradients[0].contiguous()
        kernel: AttentionKernel = ctx.kernel
        parts = kernel.backward(grad_output, query, key, value, output, log_sum_exp, ctx.segments, ctx.scale)
        grad_sink = None if sink is None else gradient_of_sink(grad_output, output, log_sum_exp, sink)
        return *parts, grad_sink, None, None, None
