"""Attention kernels against plain mathematics in float64, and a million tokens against one document of them."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch

from app.training.parallel.kernels import KernelName
from benchmarks.attention_check import TOLERANCES, Check, check_attention, check_long
from benchmarks.gpu_kit.box import Box

HEAD_DIMS = (64, 96, 128)
KERNELS: tuple[KernelName, ...] = ("flash", "cudnn")
LONG_TOKENS, LONG_DOCUMENT_TOKENS = 2**20, 2**15


def measure(box: Box) -> None:
    """See the module."""
    tokens, document_tokens = (2048, 512) if box.is_rehearsal else (LONG_TOKENS, LONG_DOCUMENT_TOKENS)
    for kernel in KERNELS[:1] if box.is_rehearsal else KERNELS:
        for head_dim in HEAD_DIMS[:1] if box.is_rehearsal else HEAD_DIMS:
            box.measure(
                f"{kernel}, heads of {head_dim}",
                partial(_small, box, kernel, head_dim),
            )
        box.measure(
            f"{kernel}, {tokens} tokens",
            partial(_long, box, kernel, tokens, document_tokens),
        )


def _small(box: Box, kernel: KernelName, head_dim: int) -> Mapping[str, Any]:
    return _worst(list(check_attention(box.device, torch.bfloat16, (head_dim,), kernel)))


def _long(box: Box, kernel: KernelName, tokens: int, document_tokens: int) -> Mapping[str, Any]:
    return _worst([check_long(box.device, tokens, document_tokens, kernel)])


def _worst(checks: list[Check]) -> Mapping[str, Any]:
    """The largest error of any case, of which part of the result, and whether all are within the tolerance."""
    tolerance = TOLERANCES[torch.bfloat16]
    worst = max(checks, key=lambda check: check.worst)
    return {
        "num_cases": len(checks),
        "worst": worst.worst,
        "worst_case": worst.name,
        "worst_of_each_part": {
            part: max(check.errors[part] for check in checks) for part in checks[0].errors
        },
        "tolerance": tolerance,
        "is_exact": all(check.worst <= tolerance for check in checks),
    }
