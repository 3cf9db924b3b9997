"""What one process measures on a GPU: training steps of one side cell by cell, or the attention kernels.

python -m benchmarks.training_gpu_worker project|plain|attention FILE STOP_AT [--rehearse] [--done KEYS] [--host-gib N]

STOP_AT is on the monotonic clock, which all processes of a machine share. Each result is a line of FILE as soon as it
is known, so that nothing is lost with the process. With `--rehearse` the same code runs on a CPU with tiny models: a
first run on a GPU should fail for no other reason than the GPU.
"""

import argparse
import gc
import json
import statistics
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from app.machine import peak_flops_of
from app.models.shape import ModelShape, shape_of
from app.training.flops import flops_of_sequence, mfu
from app.training.parallel.layout import SequenceLayout
from app.training.parallel.process_groups import join_workers
from benchmarks.attention_check import TOLERANCES, check_attention, check_long
from benchmarks.attention_rates import attention_rates
from benchmarks.training_cells import CELLS, MODELS, REHEARSAL, REHEARSAL_CELLS, Cell, Model
from benchmarks.training_steps import MemorySettings, PlainStep, ProjectStep, RandomSequences, Step

SETTINGS = MemorySettings(mlp_tile_tokens=8192, loss_chunk_tokens=4096)
ASSUMED_FLOPS = 1.2e14
"""Operations a second before anything is measured: low, so that the first cells do not overrun."""
PINNED_BYTES_PER_SEC = 2e9
"""How fast the system is assumed to hand out page-locked memory."""
OFFLOAD_SHARE = 0.33
"""Checkpoints go to the host when they would fill more of the GPU."""
MOST_REPEATED_TOKENS = 65536
"""Longer steps are timed once, without a warm-up: they take long enough."""


class Cells:
    """Measures cells, shortest first, while there is time.

    Args:
        side: `project` or `plain`.
        models: By name.
        device: Where.
        stop_at: On the monotonic clock; no cell that would end later is begun.
        host_bytes: Memory of the host that offloaded checkpoints may take.
    """

    def __init__(
        self, side: str, models: dict[str, Model], device: torch.device, stop_at: float, host_bytes: float
    ) -> None:
        self._side, self._models, self._device, self._stop_at = side, models, device, stop_at
        self._host_bytes = host_bytes
        self._step: Step | None = None
        self._built: tuple[str, bool] | None = None
        self._rates: dict[str, float] = {}
        self._too_long: dict[str, int] = {}

    def measure(self, cell: Cell) -> dict[str, Any]:
        """One cell: measured, or why not."""
        model = self._models[cell.model]
        shape = shape_of(model.shape.config(cell.num_tokens))
        offload_bytes = self._offload_bytes(shape, cell)
        reason = self._reason_to_skip(cell, model, shape, offload_bytes)
        outcome = (
            {"status": "skipped", "reason": reason}
            if reason
            else self._try(cell, model, shape, offload_bytes)
        )
        return {"side": self._side, **asdict(cell), **outcome}

    def _offload_bytes(self, shape: ModelShape, cell: Cell) -> int:
        if self._side == "plain" or self._device.type != "cuda":
            return 0
        checkpoints = 2 * shape.num_layers * shape.hidden_size * cell.num_tokens
        memory = torch.cuda.get_device_properties(self._device).total_memory
        return checkpoints if checkpoints > OFFLOAD_SHARE * memory else 0

    def _reason_to_skip(self, cell: Cell, model: Model, shape: ModelShape, offload_bytes: int) -> str | None:
        shortest = self._too_long.get(cell.model)
        if shortest is not None and cell.num_tokens >= shortest:
            return f"out of memory at {shortest} tokens already"
        if offload_bytes > self._host_bytes:
            return (
                f"out of the host's memory: {offload_bytes / 2**30:.0f} GiB of checkpoints, "
                f"{self._host_bytes / 2**30:.0f} GiB there"
            )
        flops = flops_of_sequence(shape, cell.boundaries)
        sec = flops * cell.num_steps(MOST_REPEATED_TOKENS) / self._rates.get(cell.model, ASSUMED_FLOPS)
        sec += offload_bytes / PINNED_BYTES_PER_SEC
        left = self._stop_at - time.monotonic()
        if sec > left:
            return f"over the time budget: would take about {sec:.0f} s, {left:.0f} s are left"
        return None

    def _try(self, cell: Cell, model: Model, shape: ModelShape, offload_bytes: int) -> dict[str, Any]:
        try:
            step = self._step_of(cell.model, model, offload_bytes > 0)
            if offload_bytes:
                _take_pinned(shape, cell.num_tokens)
            return self._measured(cell, shape, step) | {"offloads_checkpoints": offload_bytes > 0}
        except torch.OutOfMemoryError as error:
            self._too_long[cell.model] = cell.num_tokens
            outcome = {"status": "out of memory", "reason": str(error).partition("\n")[0][:300]}
        except RuntimeError as error:
            outcome = {"status": "failed", "reason": f"{type(error).__name__}: {error}"[:2000]}
        # What FSDP has gathered would stay so: the next cell starts from a fresh model.
        self._forget()
        return outcome

    def _step_of(self, name: str, model: Model, offload: bool) -> Step:
        if self._built != (name, offload) or self._step is None:
            self._forget()
            self._step = self._build(model, offload)
            self._built = (name, offload)
        return self._step

    def _build(self, model: Model, offload: bool) -> Step:
        device = self._device
        if self._side == "plain":
            if model.with_optimizer:
                return PlainStep(model.shape, device, torch.float32, autocast=torch.bfloat16)
            return PlainStep(model.shape, device, torch.bfloat16, with_optimizer=False)
        settings = MemorySettings(SETTINGS.mlp_tile_tokens, SETTINGS.loss_chunk_tokens, offload)
        if not model.with_optimizer:
            return ProjectStep(model.shape, settings, device, torch.bfloat16, with_optimizer=False)
        if not dist.is_initialized():
            backend = "nccl" if device.type == "cuda" else "gloo"
            dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
        workers = join_workers(SequenceLayout(), device)
        assert workers is not None
        return ProjectStep(model.shape, settings, device, torch.bfloat16, workers.mesh, workers.parallel)

    def _forget(self) -> None:
        self._step = self._built = None
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _measured(self, cell: Cell, shape: ModelShape, step: Step) -> dict[str, Any]:
        sequences = RandomSequences(cell.num_tokens, shape.vocab_size, cell.document_tokens)
        is_cuda = self._device.type == "cuda"
        if is_cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        seconds, losses = [], []
        for _ in range(cell.num_steps(MOST_REPEATED_TOKENS)):
            started = time.perf_counter()
            losses.append(step.forward_backward(sequences))
            step.update()
            if is_cuda:
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - started)
        timed = seconds[1:] or seconds
        sec = statistics.median(timed)
        flops = flops_of_sequence(shape, cell.boundaries)
        self._rates[cell.model] = flops / sec
        peak = peak_flops_of(torch.cuda.get_device_name(self._device)) if is_cuda else None
        return {
            "status": "measured",
            "step_sec": timed,
            "tokens_per_sec": cell.num_tokens / sec,
            "mfu": mfu(flops, sec, 1, peak),
            "peak_bytes": torch.cuda.max_memory_allocated() if is_cuda else 0,
            "reserved_bytes": torch.cuda.max_memory_reserved() if is_cuda else 0,
            "losses": losses,
        }


def _take_pinned(shape: ModelShape, num_tokens: int) -> None:
    """Have the page-locked memory in torch's cache before the clock runs: a training run takes it once."""
    size = (num_tokens, shape.hidden_size)
    _ = [torch.empty(size, dtype=torch.bfloat16, pin_memory=True) for _ in range(shape.num_layers)]


def measure_attention(device: torch.device, write: Any, is_rehearsal: bool) -> None:
    """Errors of the kernels against float64, then how fast they are."""
    worst = 0.0
    head_dims = (64,) if is_rehearsal else (64, 128)
    for check in check_attention(device, torch.bfloat16, head_dims):
        worst = max(worst, check.worst)
        write({"check": check.name, "errors": check.errors, "worst": check.worst})
    tolerance = TOLERANCES[torch.bfloat16]
    write({"check": "all", "worst": worst, "tolerance": tolerance, "is_exact": worst <= tolerance})
    num_tokens, document_tokens = (2048, 512) if is_rehearsal else (2**20, 2**15)
    check = check_long(device, num_tokens, document_tokens)
    write({"check": check.name, "errors": check.errors, "worst": check.worst})
    for head_dim in head_dims:
        for rate in attention_rates(device, 1024 if is_rehearsal else 32768, head_dim):
            write({"rate": rate})


def main() -> None:
    """Measure one side, or the attention."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_gpu_worker")
    parser.add_argument("what", choices=["project", "plain", "attention"])
    parser.add_argument("file", type=Path)
    parser.add_argument("stop_at", type=float)
    parser.add_argument("--rehearse", action="store_true")
    parser.add_argument("--done", type=json.loads, default=[])
    parser.add_argument("--host-gib", type=float, default=0.0)
    arguments = parser.parse_args()
    device = torch.device("cpu") if arguments.rehearse else torch.device("cuda", 0)
    with arguments.file.open("a", encoding="utf-8") as stream:

        def write(record: dict[str, Any]) -> None:
            print(json.dumps(record), file=stream, flush=True)

        if arguments.what == "attention":
            measure_attention(device, write, arguments.rehearse)
            return
        models, cells = (REHEARSAL, REHEARSAL_CELLS) if arguments.rehearse else (MODELS, CELLS)
        measuring = Cells(arguments.what, models, device, arguments.stop_at, arguments.host_gib * 2**30)
        for cell in cells[arguments.what]:
            if cell.key not in arguments.done:
                write(measuring.measure(cell))


if __name__ == "__main__":
    main()
