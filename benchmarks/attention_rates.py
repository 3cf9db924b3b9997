"""How fast attention kernels are: this project's, and those that torch's SDPA can be made to use, on one document."""

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from app.faults import UserError
from app.training.parallel.kernels import AttentionKernel, KernelName, kernel_of
from app.training.parallel.segments import Segments

NUM_HEADS, NUM_KV_HEADS = 32, 8
NUM_REPEATS = 3
OURS: dict[str, KernelName] = {"ours": "flash", "ours cudnn": "cudnn"}
"""Kernels of the project, by what they are called in a result."""
BACKENDS = {"sdpa flash": SDPBackend.FLASH_ATTENTION, "sdpa cudnn": SDPBackend.CUDNN_ATTENTION}


def attention_rates(device: torch.device, num_tokens: int, head_dim: int) -> Iterator[dict[str, Any]]:
    """Operations a second, forward and backward, counted as the model needs them: causal, backward twice forward."""
    generator = torch.Generator(device).manual_seed(7)

    def draw(num_heads: int) -> Tensor:
        shape = (num_tokens, num_heads, head_dim)
        return torch.randn(shape, generator=generator, device=device, dtype=torch.bfloat16)

    query, key, value, grad = draw(NUM_HEADS), draw(NUM_KV_HEADS), draw(NUM_KV_HEADS), draw(NUM_HEADS)
    flops = 2.0 * num_tokens**2 * NUM_HEADS * head_dim
    segments, scale = Segments.causal((0, num_tokens), device), head_dim**-0.5

    def ours(kernel: AttentionKernel) -> tuple[float, float]:
        forward = _sec(device, lambda: kernel.forward(query, key, value, segments, scale))
        output, log_sum_exp = kernel.forward(query, key, value, segments, scale)
        backward = _sec(
            device,
            lambda: kernel.backward(grad, query, key, value, output, log_sum_exp, segments, scale),
        )
        return forward, backward

    def by_sdpa() -> tuple[float, float]:
        # Not every backend groups heads; repeated before the clock runs, they cost it nothing.
        repeats = NUM_HEADS // NUM_KV_HEADS
        queries, keys, values = (
            part.transpose(0, 1).unsqueeze(0).contiguous().requires_grad_()
            for part in (query, *(states.repeat_interleave(repeats, dim=1) for states in (key, value)))
        )
        grads = grad.transpose(0, 1).unsqueeze(0)

        def attend() -> Tensor:
            return scaled_dot_product_attention(queries, keys, values, is_causal=True)

        forward = _sec(device, attend)
        output = attend()
        backward = _sec(
            device, lambda: torch.autograd.grad(output, (queries, keys, values), grads, retain_graph=True)
        )
        return forward, backward

    for name in (*OURS, *BACKENDS):
        found: dict[str, Any] = {"kernel": name, "num_tokens": num_tokens, "head_dim": head_dim}
        try:
            if name in OURS:
                forward, backward = ours(kernel_of(device, OURS[name]))
            else:
                with sdpa_kernel(BACKENDS[name]):
                    forward, backward = by_sdpa()
        except (RuntimeError, UserError) as error:
            yield found | {"reason": str(error).partition("\n")[0][:300]}
            continue
        yield found | {
            "forward_tflops": flops / forward / 1e12,
            "backward_tflops": 2 * flops / backward / 1e12,
        }


def _sec(device: torch.device, work: Callable[[], Any]) -> float:
    """Median seconds of some repeats after a first."""
    seconds = []
    for _ in range(1 + NUM_REPEATS):
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])
