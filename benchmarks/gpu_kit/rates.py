"""How fast the attention kernels are on one document, beside those of torch's SDPA."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from benchmarks.attention_rates import NUM_HEADS, attention_rates
from benchmarks.gpu_kit.box import Box

SHAPES = ((32_768, 128), (32_768, 64), (131_072, 128))
"""Tokens, and size of a head."""
ASSUMED_FLOPS = 4e14
"""Operations a second, to tell how long a measurement takes."""


def measure(box: Box) -> None:
    """See the module."""
    for tokens, head_dim in ((256, 64),) if box.is_rehearsal else SHAPES:
        box.measure(
            f"{tokens} tokens, heads of {head_dim}",
            partial(_rates, box, tokens, head_dim),
            # Four calls forward and backward of each of four kernels.
            needs_sec=16 * 6 * tokens**2 * NUM_HEADS * head_dim / ASSUMED_FLOPS,
        )


def _rates(box: Box, tokens: int, head_dim: int) -> Mapping[str, Any]:
    return {"kernels": list(attention_rates(box.device, tokens, head_dim))}
