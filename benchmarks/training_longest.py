"""The longest sequence that a training step takes within a fixed amount of memory, this project's and transformers'.

python -m benchmarks.training_longest FILE LIMIT_BYTES

The limit is the system's own: `RLIMIT_DATA` on a process that has only imported its libraries, so that weights,
gradients, AdamW's moments, activations and what the kernels take inside all count, and an allocation beyond it fails.
(`RLIMIT_AS` would count address space that nobody writes.) Each length is tried in a process of its own, forked from
one that has imported the libraries. A step before it, of a short sequence, makes the optimizer's state. Both steps are
float32 throughout, with the same optimizer.
"""

import json
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from app.training.parallel.layout import SequenceLayout
from app.training.parallel.process_groups import join_workers
from benchmarks.allocations import data_bytes, reset_resident_peak, resident_peak_bytes
from benchmarks.record import say
from benchmarks.training_steps import MemorySettings, PlainStep, ProjectStep, RandomSequences, Shape, Step

SHAPE = Shape(
    hidden_size=576,
    num_layers=2,
    num_heads=9,
    num_kv_heads=3,
    head_dim=64,
    intermediate_size=1536,
    vocab_size=49152,
)
"""Layers and vocabulary of SmolLM2-135M, two layers of its thirty."""
SETTINGS = MemorySettings(mlp_tile_tokens=512, loss_chunk_tokens=256, keep_attention=False)
SIDES = ("project", "plain")
FIRST_TOKENS = {"project": 4096, "plain": 1024}
ATTEMPT_SEC = 400.0
LENGTH_UNIT = 128
PRECISION = 0.1
_WARM_UP_TOKENS = 128
_NUM_THREADS = 2
_OUT_OF_MEMORY = (
    "can't allocate memory",
    "bad_alloc",
    "not enough memory",
    "out of memory",
    "Cannot allocate",
)


@dataclass(frozen=True)
class Attempt:
    """One step at one length."""

    num_tokens: int
    fits: bool
    sec: float
    resident_bytes: int
    """Most that became resident beyond what the libraries are."""


def measure_longest(limit_bytes: int) -> dict[str, Any]:
    """Longest sequence of each side within so much memory for all that a step holds, and the attempts."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "transformers.models.llama.modeling_llama"])
    found: dict[str, Any] = {}
    for side in SIDES:
        attempts: list[Attempt] = []

        def fits(num_tokens: int, side: str = side, attempts: list[Attempt] = attempts) -> bool:
            attempt = _attempt(context, side, num_tokens, limit_bytes)
            attempts.append(attempt)
            say(
                f"longest sequence: {side}, {num_tokens:,} tokens "
                f"{'fit' if attempt.fits else 'do not fit'} ({attempt.sec:.0f} s)"
            )
            return attempt.fits

        longest = search_longest(fits, FIRST_TOKENS[side])
        found[side] = {"longest_tokens": longest, "attempts": [asdict(attempt) for attempt in attempts]}
    return found


def search_longest(fits: Callable[[int], bool], first_tokens: int) -> int:
    """Largest length that fits, found to within `PRECISION` by doubling, then by halving the interval.

    Raises:
        RuntimeError: Not even the first one fits.
    """
    if not fits(first_tokens):
        raise RuntimeError(f"{first_tokens} tokens do not fit: give more memory")
    low, high = first_tokens, 2 * first_tokens
    while fits(high):
        low, high = high, 2 * high
    while high - low > max(PRECISION * low, LENGTH_UNIT):
        middle = (low + high) // 2 // LENGTH_UNIT * LENGTH_UNIT
        if fits(middle):
            low = middle
        else:
            high = middle
    return low


def _attempt(context: Any, side: str, num_tokens: int, limit_bytes: int) -> Attempt:
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_try_step, args=(sender, side, num_tokens, limit_bytes))
    process.start()
    sender.close()
    try:
        if not receiver.poll(ATTEMPT_SEC):
            raise RuntimeError(f"{side}: {num_tokens} tokens took more than {ATTEMPT_SEC:.0f} s")
        answer = receiver.recv()
    except EOFError as error:
        process.join()
        raise RuntimeError(f"{side}: {num_tokens} tokens ended with {process.exitcode}") from error
    finally:
        process.kill()
        process.join()
    if isinstance(answer, str):
        raise RuntimeError(f"{side}: {num_tokens} tokens: {answer}")
    return Attempt(num_tokens, *answer)


def _try_step(sender: Connection, side: str, num_tokens: int, limit_bytes: int) -> None:
    """Make a step under the limit; sends whether it fitted, its seconds and its memory, or what else went wrong."""
    torch.set_num_threads(_NUM_THREADS)
    # Threads and their stacks belong to the libraries.
    _ = torch.ones(256, 256) @ torch.ones(256, 256)
    resident = reset_resident_peak()
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (data_bytes() + limit_bytes, hard))
    started = time.perf_counter()
    try:
        step = _build(side)
        for tokens in (_WARM_UP_TOKENS, num_tokens):
            started = time.perf_counter()
            step.forward_backward(RandomSequences(tokens, SHAPE.vocab_size))
            step.update()
        fits = True
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and not any(sign in str(error) for sign in _OUT_OF_MEMORY):
            sender.send(f"{type(error).__name__}: {error}")
            return
        fits = False
    sender.send((fits, time.perf_counter() - started, resident_peak_bytes() - resident))


def _build(side: str) -> Step:
    cpu = torch.device("cpu")
    if side == "plain":
        return PlainStep(SHAPE, cpu, torch.float32)
    # As a stage on one worker does it, FSDP's copies included.
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    workers = join_workers(SequenceLayout(), cpu)
    assert workers is not None
    return ProjectStep(SHAPE, SETTINGS, cpu, torch.float32, workers.mesh, workers.parallel)


def main() -> None:
    """Search, and leave what was found in a file."""
    path, limit_bytes = Path(sys.argv[1]), int(sys.argv[2])
    path.write_text(json.dumps(measure_longest(limit_bytes)), "utf-8")


if __name__ == "__main__":
    main()
