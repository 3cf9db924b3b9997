"""What a rank of a sequence-parallel group needs and how long it takes: activation memory, and the time of a step.

torchrun --nproc-per-node N -m benchmarks.training_ranks memory|time FILE TOKENS REPEATS

Activation memory is the peak of what torch's allocator hands out during forward and backward pass above what was there
before: sharded parameters, gradients and optimizer state. The gradients are there because a short step has been made
before. What FSDP gathers of the parameters is in it, so the model is small and the sequence long; a sequence of a
quarter tells how much of the memory grows with the tokens. The same pass is made once more for the resident memory,
without the profiler, whose records would count there.

Time is measured in one pair of processes: the first works alone with two threads while the second waits, then both
work together with a thread each, in turn.
"""

import gc
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from app.training.parallel.layout import layout_of
from app.training.parallel.process_groups import join_workers
from benchmarks.allocations import record_allocations, reset_resident_peak, resident_peak_bytes
from benchmarks.training_steps import MemorySettings, ProjectStep, RandomSequences, Shape

MODES = ("ulysses", "ring")
MEMORY_SHAPE = Shape(
    hidden_size=256,
    num_layers=2,
    num_heads=16,
    num_kv_heads=4,
    head_dim=16,
    intermediate_size=896,
    vocab_size=2048,
)
"""Heads and MLP in the proportions of Llama-3. Few parameters: what FSDP gathers of them is no activation."""
TIME_SHAPE = Shape(
    hidden_size=512,
    num_layers=4,
    num_heads=16,
    num_kv_heads=4,
    head_dim=32,
    intermediate_size=1792,
    vocab_size=8192,
)
SETTINGS = MemorySettings(mlp_tile_tokens=512, loss_chunk_tokens=512)
WARM_UP_TOKENS = 256
NUM_CORES = 2
MOST_RANKS_BY_RESIDENT = 2
"""With more the second pass takes too long on two cores."""
_CPU = torch.device("cpu")


def build(shape: Shape, mode: str) -> ProjectStep:
    """The step of this rank when all processes share a sequence."""
    workers = join_workers(layout_of(dist.get_world_size(), mode, shape.num_heads), _CPU)
    assert workers is not None
    return ProjectStep(shape, SETTINGS, _CPU, torch.float32, workers.mesh, workers.parallel)


def measure_memory(num_tokens: int) -> dict[str, Any]:
    """Activation memory of the ranks, by mode; with one process there is only one."""
    num_ranks = dist.get_world_size()
    torch.set_num_threads(max(1, NUM_CORES // num_ranks))
    found: dict[str, Any] = {}
    for mode in MODES if num_ranks > 1 else MODES[:1]:
        step = build(MEMORY_SHAPE, mode)
        short = RandomSequences(WARM_UP_TOKENS, MEMORY_SHAPE.vocab_size)
        step.forward_backward(short)
        step.update()
        # So that the gradients are there.
        step.forward_backward(short)
        peaks = {}
        for length in (num_tokens // 4, num_tokens):
            with settled_exchanges(), record_allocations() as allocations:
                step.forward_backward(RandomSequences(length, MEMORY_SHAPE.vocab_size))
            peaks[length] = of_all_ranks(allocations.peak_bytes)
        found[mode] = {
            "peak_bytes": peaks[num_tokens],
            "quarter_peak_bytes": peaks[num_tokens // 4],
            "left_bytes": of_all_ranks(allocations.left_bytes),
            "owners": allocations.owners,
        }
        if num_ranks <= MOST_RANKS_BY_RESIDENT:
            gc.collect()
            resident = reset_resident_peak()
            step.forward_backward(RandomSequences(num_tokens, MEMORY_SHAPE.vocab_size))
            found[mode]["resident_peak_bytes"] = of_all_ranks(resident_peak_bytes() - resident)
    return found


def measure_time(num_tokens: int, num_repeats: int) -> dict[str, Any]:
    """Seconds of each repeat of a whole step: alone, and together by mode."""
    assert dist.get_world_size() == 2
    sequences = RandomSequences(num_tokens, TIME_SHAPE.vocab_size)
    steps = {mode: build(TIME_SHAPE, mode) for mode in MODES}
    steps["one"] = ProjectStep(TIME_SHAPE, SETTINGS, _CPU, torch.float32)
    found: dict[str, Any] = {name: [] for name in steps}
    losses: dict[str, float] = {}
    # The first round warms up and is not counted.
    for _ in range(1 + num_repeats):
        for name, step in steps.items():
            is_alone = name == "one"
            torch.set_num_threads(NUM_CORES if is_alone else 1)
            dist.barrier()
            started = time.perf_counter()
            if dist.get_rank() == 0 or not is_alone:
                loss = torch.tensor(step.forward_backward(sequences))
                step.update()
            dist.barrier()
            found[name].append(time.perf_counter() - started)
            if not is_alone:
                dist.all_reduce(loss)
            losses.setdefault(name, float(loss))
    return {"sec": {name: values[1:] for name, values in found.items()}, "first_losses": losses}


@contextmanager
def settled_exchanges() -> Iterator[None]:
    """Let go of what an all-to-all has sent only after gloo's thread has: what that one releases, nobody records."""
    exchange = dist.all_to_all_single

    def settled(received: Tensor, sent: Tensor, **keywords: Any) -> Any:
        work = exchange(received, sent, **keywords)
        while sent._use_count() > 1 or received._use_count() > 1:
            time.sleep(1e-5)
        return work

    dist.all_to_all_single = settled
    try:
        yield
    finally:
        dist.all_to_all_single = exchange


def of_all_ranks(value: int) -> list[int]:
    values = [torch.zeros((), dtype=torch.int64) for _ in range(dist.get_world_size())]
    dist.all_gather(values, torch.tensor(value))
    return [int(each) for each in values]


def main() -> None:
    """Be one of the ranks."""
    what, path, num_tokens, num_repeats = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    dist.init_process_group("gloo")
    found = measure_memory(num_tokens) if what == "memory" else measure_time(num_tokens, num_repeats)
    if dist.get_rank() == 0:
        path.write_text(json.dumps(found), "utf-8")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
