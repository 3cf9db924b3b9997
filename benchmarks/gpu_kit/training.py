"""Training steps of real model shapes: this project's beside plain transformers', and where a step's time goes."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu_kit.box import Box, synchronize
from benchmarks.gpu_kit.cell_steps import CellSteps
from benchmarks.gpu_kit.cells import LARGE, SMALL, Cell
from benchmarks.training_steps import RandomSequences

K = 1024
CELLS = (
    Cell("project", LARGE, 32 * K),
    Cell("plain", LARGE, 32 * K),
    Cell("project", SMALL, 32 * K),
    Cell("plain", SMALL, 32 * K),
    Cell("project", LARGE, 32 * K, kernel="cudnn"),
    Cell("project", LARGE, 32 * K, keep_attention=False),
    Cell("project", SMALL, 32 * K, kernel="cudnn"),
    Cell("project", LARGE, 128 * K, kernel="cudnn"),
    Cell("project", SMALL, 128 * K),
    Cell("project", LARGE, 128 * K),
)
REHEARSAL_TOKENS = 512
NUM_ROWS = 16
"""Of a profile's table: the kernels that take most of the time."""


def measure(box: Box) -> None:
    """See the module."""
    steps = CellSteps(box)
    is_first = True
    for planned in CELLS[:4] if box.is_rehearsal else CELLS:
        cell = replace(planned, num_tokens=REHEARSAL_TOKENS) if box.is_rehearsal else planned
        steps.measure(cell)
        if is_first:
            is_first = False
            box.measure(f"profile of {cell.key}", partial(_profile, box, steps, cell), needs_sec=10)


def _profile(box: Box, steps: CellSteps, cell: Cell) -> Mapping[str, Any]:
    """Share of the device's time by kernel, of one step."""
    step = steps.step_of(cell)
    sequences = RandomSequences(cell.num_tokens, 256 if box.is_rehearsal else 128_256)
    is_cuda = box.device.type == "cuda"
    activity = ProfilerActivity.CUDA if is_cuda else ProfilerActivity.CPU
    with profile(activities=[activity]) as profiler:
        step.forward_backward(sequences)
        synchronize(box.device)
    step.update()
    spent = {
        event.key[:120]: (event.self_device_time_total if is_cuda else event.self_cpu_time_total) / 1e6
        for event in profiler.key_averages()
    }
    total = sum(spent.values())
    rows = sorted(spent, key=lambda name: -spent[name])[:NUM_ROWS]
    counts = {event.key[:120]: event.count for event in profiler.key_averages()}
    return {
        "device_sec": total,
        "kernels": [{"name": name, "share": spent[name] / total, "count": counts[name]} for name in rows],
    }
