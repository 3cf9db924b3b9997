"""The attention kernels against plain mathematics in float64: packed documents, dense tiles, grouped heads, tiles' sum.

What counts is `‖found - expected‖ / ‖expected‖` of the output, the log-sum-exp and the three gradients, the largest of
any head, so that one wrong head is not lost among right ones. Expected is what the same, already rounded, inputs give
in float64.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from app.training.parallel.cudnn_kernel import CudnnKernel
from app.training.parallel.kernels import AttentionKernel, KernelName, kernel_of
from app.training.parallel.segments import Segments

PARTS = ("output", "log_sum_exp", "grad_query", "grad_key", "grad_value")
TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 1e-2}
"""Largest error by type: bfloat16 keeps 8 bits, and the probabilities are rounded to it once more inside."""
HEADS = ((8, 2), (9, 3), (4, 4))
"""Query heads, key and value heads."""
DOCUMENTS = ((257,), (128, 1, 300, 64, 19))
"""Lengths of packed documents."""
WINDOW = 37
"""Tokens that a query sees."""
TILES = ((96, 200), (200, 96))
"""Queries and keys of a dense tile."""


@dataclass(frozen=True)
class Inputs:
    """One attention, and the gradient of its output."""

    query: Tensor
    key: Tensor
    value: Tensor
    grad_output: Tensor

    @property
    def scale(self) -> float:
        return float(self.query.shape[-1]) ** -0.5


@dataclass(frozen=True)
class Check:
    """Errors of one case."""

    name: str
    errors: dict[str, float]

    @property
    def worst(self) -> float:
        """Largest error; NaN counts as infinite."""
        return max(error if error == error else float("inf") for error in self.errors.values())


LEAST_CUDNN_TOKENS = 64
"""From so many tokens on, documents and tiles here are long enough for cuDNN; the others stay with flash."""
MOST_CUDNN_NUMBERS = 2**16
"""Of one tensor here: heads of larger ones are computed group by group, as those beyond 2^31 are."""


def checked_kernel(device: torch.device, name: KernelName) -> AttentionKernel:
    """A kernel that computes even these small cases the way it computes large ones."""
    kernel = kernel_of(device, name)
    return CudnnKernel(LEAST_CUDNN_TOKENS) if isinstance(kernel, CudnnKernel) else kernel


def check_attention(
    device: torch.device,
    dtype: torch.dtype,
    head_dims: Sequence[int] = (64, 128),
    kernel: KernelName = "flash",
) -> Iterator[Check]:
    """All cases, each with fresh random inputs.

    Args:
        device: Where.
        dtype: Of the states.
        head_dims: Sizes of heads.
        kernel: Which one of the device's.
    """
    computing = checked_kernel(device, kernel)
    generator = torch.Generator(device).manual_seed(5)
    for head_dim in head_dims:
        for heads in HEADS:
            shape = f"{heads[0]}/{heads[1]} heads of {head_dim}"
            for lengths in DOCUMENTS:
                boundaries = (0, *accumulate(lengths))
                inputs = _inputs(boundaries[-1], boundaries[-1], heads, head_dim, dtype, generator)
                segments = Segments.causal(boundaries, device)
                yield Check(
                    f"{len(lengths)} documents, {shape}",
                    _errors(by_kernel(inputs, segments, computing), inputs, segments),
                )
                segments = Segments.causal(boundaries, device, WINDOW)
                yield Check(
                    f"window of {WINDOW}, {len(lengths)} documents, {shape}",
                    _errors(by_kernel(inputs, segments, computing), inputs, segments),
                )
            for num_queries, num_keys in TILES:
                inputs = _inputs(num_queries, num_keys, heads, head_dim, dtype, generator)
                for num_before in (None, WINDOW):
                    segments = Segments.dense(num_queries, num_keys, device, num_before)
                    yield Check(
                        f"dense {num_queries} x {num_keys} from {num_before} before, {shape}",
                        _errors(by_kernel(inputs, segments, computing), inputs, segments),
                    )
            if isinstance(computing, CudnnKernel):
                yield _check_head_groups(computing, heads, head_dim, dtype, generator)
            inputs = _inputs(256, 256, heads, head_dim, dtype, generator)
            yield Check(
                f"sum of tiles, {shape}",
                _errors(by_tiles(inputs, 128, computing), inputs, Segments.causal((0, 256), device)),
            )


def by_kernel(
    inputs: Inputs, segments: Segments, kernel: AttentionKernel | None = None
) -> tuple[Tensor, ...]:
    """What a kernel finds, in the order of `PARTS`; without one the device's usual."""
    query, key, value, scale = inputs.query, inputs.key, inputs.value, inputs.scale
    kernel = kernel or kernel_of(query.device)
    output, log_sum_exp = kernel.forward(query, key, value, segments, scale)
    gradients = kernel.backward(inputs.grad_output, query, key, value, output, log_sum_exp, segments, scale)
    return output, log_sum_exp, *gradients


def by_tiles(inputs: Inputs, chunk: int, kernel: AttentionKernel) -> tuple[Tensor, ...]:
    """Causal attention of two chunks put together of three tiles, as a ring does: the last two share their queries."""
    query, key, value, grad, scale = (
        inputs.query,
        inputs.key,
        inputs.value,
        inputs.grad_output,
        inputs.scale,
    )
    first, last = slice(0, chunk), slice(chunk, None)
    device, rest = query.device, len(query) - chunk
    tiles = (
        (first, first, Segments.causal((0, chunk), device)),
        (last, last, Segments.causal((0, rest), device)),
        (last, first, Segments.dense(rest, chunk, device)),
    )
    output = torch.zeros_like(query, dtype=torch.float32)
    log_sum_exp = query.new_full((query.shape[1], len(query)), -torch.inf, dtype=torch.float32)
    for queries, keys, segments in tiles:
        part, part_lse = kernel.forward(query[queries], key[keys], value[keys], segments, scale)
        before = log_sum_exp[:, queries]
        total = torch.logaddexp(before, part_lse)
        output[queries] = _weighted(output[queries], before - total) + _weighted(part, part_lse - total)
        log_sum_exp[:, queries] = total
    rounded = output.to(query.dtype)
    gradients = [torch.zeros_like(states, dtype=torch.float32) for states in (query, key, value)]
    for queries, keys, segments in tiles:
        parts = kernel.backward(
            grad[queries],
            query[queries],
            key[keys],
            value[keys],
            rounded[queries],
            log_sum_exp[:, queries],
            segments,
            scale,
        )
        for gradient, part, place in zip(gradients, parts, (queries, keys, keys), strict=True):
            gradient[place] += part
    return rounded, log_sum_exp, *gradients


def by_mathematics(inputs: Inputs, segments: Segments) -> tuple[Tensor, ...]:
    """The same in float64, with whole scores and autograd."""
    query, key, value = (
        states.double().requires_grad_() for states in (inputs.query, inputs.key, inputs.value)
    )
    group = query.shape[1] // key.shape[1]
    outputs, sums = [], []
    stretches = zip(pairwise(segments.queries), pairwise(segments.keys), strict=True)
    for queries, keys in stretches:
        own = query[slice(*queries)].transpose(0, 1)
        own_keys, own_values = (
            states[slice(*keys)].repeat_interleave(group, dim=1).transpose(0, 1) for states in (key, value)
        )
        scores = own @ own_keys.transpose(1, 2) * inputs.scale
        if segments.num_before is not None:
            places = torch.arange(own.shape[1], device=own.device) + own_keys.shape[1] - own.shape[1]
            keys_from = torch.arange(own_keys.shape[1], device=own.device)
            before = keys_from < places.unsqueeze(1) - segments.num_before
            scores = scores.masked_fill(before, -torch.inf)
        if segments.is_causal:
            future = torch.ones_like(scores[0], dtype=torch.bool).triu(1)
            scores = scores.masked_fill(future, -torch.inf)
        outputs.append((scores.softmax(-1) @ own_values).transpose(0, 1))
        sums.append(scores.logsumexp(-1))
    output = torch.cat(outputs)
    gradients = torch.autograd.grad(output, (query, key, value), inputs.grad_output.double())
    return output.detach(), torch.cat(sums, dim=1).detach(), *gradients


def _check_head_groups(
    kernel: CudnnKernel, heads: tuple[int, int], head_dim: int, dtype: torch.dtype, generator: torch.Generator
) -> Check:
    """A tensor of too many numbers, as cuDNN has it: its heads are computed in groups, of copies."""
    inputs = _inputs(512, 512, heads, head_dim, dtype, generator)
    segments = Segments.causal((0, 512), generator.device)
    computing = replace(kernel, most_numbers=MOST_CUDNN_NUMBERS)
    return Check(
        f"groups of heads, {heads[0]}/{heads[1]} heads of {head_dim}",
        _errors(by_kernel(inputs, segments, computing), inputs, segments),
    )


def check_long(
    device: torch.device, num_tokens: int, document_tokens: int, kernel: KernelName = "flash"
) -> Check:
    """The last document of a very long packed sequence must come out as it does by itself.

    With 32 heads of 64 a million tokens have more numbers than 32 bits count.
    """
    computing = kernel_of(device, kernel)
    generator = torch.Generator(device).manual_seed(6)
    inputs = _inputs(num_tokens, num_tokens, (32, 8), 64, torch.bfloat16, generator)
    boundaries = (*range(0, num_tokens, document_tokens), num_tokens)
    found = by_kernel(inputs, Segments.causal(boundaries, device), computing)
    last = slice(boundaries[-2], None)
    alone = Inputs(inputs.query[last], inputs.key[last], inputs.value[last], inputs.grad_output[last])
    expected = by_kernel(alone, Segments.causal((0, num_tokens - boundaries[-2]), device), computing)
    parts = [
        part[:, last] if name == "log_sum_exp" else part[last]
        for name, part in zip(PARTS, found, strict=True)
    ]
    return Check(f"last of {len(boundaries) - 1} documents in {num_tokens} tokens", _compare(parts, expected))


def _inputs(
    num_queries: int,
    num_keys: int,
    heads: tuple[int, int],
    head_dim: int,
    dtype: torch.dtype,
    generator: torch.Generator,
) -> Inputs:
    def draw(num_tokens: int, num_heads: int) -> Tensor:
        shape = (num_tokens, num_heads, head_dim)
        return torch.randn(shape, generator=generator, device=generator.device, dtype=dtype)

    query, grad_output = draw(num_queries, heads[0]), draw(num_queries, heads[0])
    return Inputs(query, draw(num_keys, heads[1]), draw(num_keys, heads[1]), grad_output)


def _errors(found: Sequence[Tensor], inputs: Inputs, segments: Segments) -> dict[str, float]:
    return _compare(found, by_mathematics(inputs, segments))


def _compare(found: Sequence[Tensor], expected: Sequence[Tensor]) -> dict[str, float]:
    errors = {}
    for name, ours, theirs in zip(PARTS, found, expected, strict=True):
        assert ours.shape == theirs.shape, (name, ours.shape, theirs.shape)
        # Heads are the log-sum-exp's first dimension and the others' second.
        heads = 0 if name == "log_sum_exp" else 1
        pairs = zip(ours.unbind(heads), theirs.unbind(heads), strict=True)
        errors[name] = max(float((a.double() - b).norm() / b.double().norm()) for a, b in pairs)
    return errors


def _weighted(states: Tensor, log_weights: Tensor) -> Tensor:
    """`[tokens, heads, head_dim]` times `exp` of `[heads, tokens]`."""
    return states * log_weights.exp().transpose(0, 1).unsqueeze(-1)
