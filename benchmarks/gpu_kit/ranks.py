"""Attention over several ranks, ring and Ulysses, against plain mathematics in float64.

The ranks are processes that share the GPU, and what they exchange goes through the host: NCCL takes one rank a GPU.
"""

import multiprocessing
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import accumulate
from multiprocessing.queues import Queue
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from app.training.parallel.attention import PackedSequence, SequenceParallel, attend
from app.training.parallel.kernels import KernelName
from app.training.parallel.layout import SequenceLayout
from app.training.parallel.segments import Segments
from benchmarks.attention_check import TOLERANCES, Inputs, by_mathematics, checked_kernel
from benchmarks.gpu_kit.box import Box, first_line
from benchmarks.gpu_kit.staging import staged_exchange

NUM_RANKS = 4
PARTS = ("output", "grad_query", "grad_key", "grad_value")
_ANSWER_SEC = 20.0


@dataclass(frozen=True)
class Case:
    """One sequence and how it is shared."""

    ring_size: int
    ulysses_size: int
    heads: tuple[int, int]
    head_dim: int
    lengths: tuple[int, ...]
    window: int | None = None
    kernel: KernelName = "flash"

    @property
    def name(self) -> str:
        window = f", window of {self.window}" if self.window else ""
        ways = f"ring {self.ring_size} x Ulysses {self.ulysses_size}, {self.kernel}"
        heads = f"{self.heads[0]}/{self.heads[1]} heads of {self.head_dim}"
        return f"{ways}, {heads}, {self.lengths} tokens{window}"


PACKED, SINGLE = (1500, 33, 700, 815), (3072,)
CASES = (
    Case(2, 1, (8, 2), 64, SINGLE),
    Case(2, 1, (8, 2), 128, PACKED),
    Case(4, 1, (9, 3), 64, PACKED),
    Case(4, 1, (8, 2), 128, SINGLE, window=500),
    Case(1, 2, (8, 2), 128, PACKED),
    Case(1, 4, (9, 3), 64, PACKED),
    Case(1, 4, (8, 2), 128, SINGLE),
    Case(2, 2, (8, 2), 128, PACKED),
    Case(2, 2, (8, 2), 64, PACKED, window=500),
    Case(4, 1, (8, 2), 128, SINGLE, kernel="cudnn"),
    Case(2, 2, (8, 2), 64, PACKED, kernel="cudnn"),
)
REHEARSAL = (Case(2, 2, (8, 2), 16, (150, 9, 97)), Case(4, 1, (4, 2), 16, (256,), window=50))


def measure(box: Box) -> None:
    """See the module."""
    cases = [case for case in (REHEARSAL if box.is_rehearsal else CASES) if case.name not in box.done]
    if not cases:
        return
    context = multiprocessing.get_context("spawn")
    found: Queue[tuple[str, str, Mapping[str, Any]]] = context.Queue()
    store = str(box.scratch / "ranks.store")
    processes = [
        context.Process(target=_run_rank, args=(rank, store, str(box.device), cases, found), daemon=True)
        for rank in range(NUM_RANKS)
    ]
    for process in processes:
        process.start()
    for _ in cases:
        key, status, values = _next(found, processes)
        box.write(key, values, status)
    for process in processes:
        process.join()


def _next(found: "Queue[tuple[str, str, Mapping[str, Any]]]", processes: list[Any]) -> tuple[str, str, Any]:
    while found.empty():
        if not all(process.is_alive() for process in processes):
            time.sleep(1)
            if found.empty():
                raise RuntimeError("a rank has died; see the log")
        time.sleep(0.05)
    return found.get(timeout=_ANSWER_SEC)


def _run_rank(rank: int, store: str, device: str, cases: list[Case], found: Any) -> None:
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=NUM_RANKS)
    for case in cases:
        started = time.perf_counter()
        try:
            values, status = _errors(case, rank, torch.device(device)), "measured"
        except Exception as error:
            if rank == 0:
                reason = {"reason": f"{type(error).__name__}: {first_line(error)}"}
                found.put((case.name, "failed", reason))
            raise
        if rank == 0:
            found.put((case.name, status, {**values, "sec": round(time.perf_counter() - started, 3)}))
    dist.destroy_process_group()


def _errors(case: Case, rank: int, device: torch.device) -> Mapping[str, Any]:
    """Of the whole sequence, on rank 0; every rank takes part."""
    layout = SequenceLayout(case.ring_size, case.ulysses_size)
    boundaries = (0, *accumulate(case.lengths))
    padded = layout.padded_tokens(boundaries[-1])
    if padded > boundaries[-1]:
        boundaries = (*boundaries, padded)
    inputs = _inputs(case, padded, device)
    # Several groups of ranks do the same where a case takes fewer than there are.
    parallel = _parallel(layout, rank)
    spans = layout.spans(parallel.rank, padded)
    packed = PackedSequence(boundaries, parallel)
    own = [_part(states, spans).requires_grad_() for states in (inputs.query, inputs.key, inputs.value)]
    kernel = checked_kernel(device, case.kernel)
    with staged_exchange() if device.type == "cuda" else nullcontext():
        output = attend(own[0], own[1], own[2], packed, inputs.scale, case.window, kernel=kernel)
        gradients = torch.autograd.grad(output, own, _part(inputs.grad_output, spans))
    parts = [part.detach().float().cpu() for part in (output, *gradients)]
    gathered: list[Any] = [None] * NUM_RANKS
    dist.all_gather_object(gathered, parts)
    if rank:
        return {}
    expected = by_mathematics(inputs, Segments.causal(boundaries, device, case.window))
    expected = (expected[0], *expected[2:])
    errors = {}
    for index, name in enumerate(PARTS):
        whole = torch.zeros_like(expected[index], dtype=torch.float64)
        for holder in range(layout.size):
            at = 0
            for start, stop in layout.spans(holder, padded):
                whole[start:stop] = gathered[holder][index][at : at + stop - start].to(whole)
                at += stop - start
        difference = (whole - expected[index]).flatten(2).norm(dim=(0, 2))
        errors[name] = float((difference / expected[index].double().norm(dim=(0, 2))).max())
    tolerance = TOLERANCES[inputs.query.dtype]
    worst = max(error if error == error else float("inf") for error in errors.values())
    return {"errors": errors, "worst": worst, "tolerance": tolerance, "is_exact": worst <= tolerance}


def _inputs(case: Case, num_tokens: int, device: torch.device) -> Inputs:
    generator = torch.Generator().manual_seed(11)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32

    def draw(num_heads: int) -> Tensor:
        return torch.randn(num_tokens, num_heads, case.head_dim, generator=generator).to(device, dtype)

    return Inputs(draw(case.heads[0]), draw(case.heads[1]), draw(case.heads[1]), draw(case.heads[0]))


def _parallel(layout: SequenceLayout, rank: int) -> SequenceParallel:
    """This rank's place; every rank must call it, as all form all groups."""
    place = rank % layout.size
    ulysses = ring = None
    for first in range(0, NUM_RANKS, layout.size):
        members = torch.arange(first, first + layout.size).view(layout.ring_size, layout.ulysses_size)
        for row in members.tolist():
            group = dist.new_group(row)
            ulysses = group if rank in row else ulysses
        for column in members.T.tolist():
            group = dist.new_group(column)
            ring = group if rank in column else ring
    return SequenceParallel(layout, place, ulysses, ring)


def _part(states: Tensor, spans: list[tuple[int, int]]) -> Tensor:
    return torch.cat([states[start:stop] for start, stop in spans]).detach()
