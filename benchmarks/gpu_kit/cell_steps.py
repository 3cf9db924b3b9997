"""Takes the training steps of cells, one after another, on one GPU."""

import gc
import statistics
import time
from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist

from app.machine import peak_flops_of
from app.models.shape import ModelShape, shape_of
from app.training.flops import flops_of_sequence, mfu
from app.training.parallel.layout import SequenceLayout
from app.training.parallel.process_groups import join_workers
from benchmarks.gpu_kit.box import Box, synchronize
from benchmarks.gpu_kit.cells import LARGE, MODELS, REHEARSAL_MODELS, Cell, Model
from benchmarks.training_steps import MemorySettings, PlainStep, ProjectStep, RandomSequences, Step

MLP_TILE_TOKENS, LOSS_CHUNK_TOKENS = 8192, 4096
ASSUMED_FLOPS = 1.5e14
"""Operations a second before anything is measured: low, so that the first cells do not overrun."""
PINNED_BYTES_PER_SEC = 2e9
"""How fast the system is assumed to hand out page-locked memory."""
OFFLOAD_SHARE = 0.33
"""Checkpoints go to the host when they would fill more of the GPU."""
MOST_REPEATED_TOKENS = 65_536
"""Longer steps are timed once, without a warm-up: they take long enough."""


class CellSteps:
    """Measures cells; a model is kept as long as the next cell needs the same."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self._models = REHEARSAL_MODELS if box.is_rehearsal else MODELS
        self._step: Step | None = None
        self._built: tuple[str, str, str, bool, bool] | None = None
        self._rates: dict[tuple[str, str], float] = {}
        self._too_long: dict[tuple[str, str], int] = {}

    def measure(self, cell: Cell) -> None:
        """One cell: measured, or why not."""
        model = self._models[cell.model]
        shape = shape_of(model.shape.config(cell.num_tokens))
        offload_bytes = self._offload_bytes(shape, cell)
        reason = self._reason_to_skip(cell, offload_bytes)
        if reason:
            if cell.key not in self.box.done:
                self.box.write(cell.key, {"reason": reason}, "skipped")
            return
        status = self.box.measure(
            cell.key,
            lambda: self._measured(cell, model, shape, offload_bytes),
            self._expected_sec(cell, shape, offload_bytes),
        )
        if status == "out of memory":
            self._too_long[cell.side, cell.model] = cell.num_tokens
        if status in ("out of memory", "failed"):
            # What FSDP has gathered would stay so: the next cell starts from a fresh model.
            self.forget()

    def forget(self) -> None:
        """Give the memory back."""
        self._step = self._built = None
        gc.collect()
        if self.box.device.type == "cuda":
            torch.cuda.empty_cache()

    def step_of(self, cell: Cell, offload: bool = False) -> Step:
        """The model of a cell, ready to be trained."""
        needed = (cell.side, cell.model, cell.kernel, cell.keep_attention, offload)
        if self._built != needed or self._step is None:
            self.forget()
            self._step = self._build(cell, self._models[cell.model], offload)
            self._built = needed
        return self._step

    def _offload_bytes(self, shape: ModelShape, cell: Cell) -> int:
        if cell.side == "plain" or self.box.device.type != "cuda":
            return 0
        checkpoints = 2 * shape.num_layers * shape.hidden_size * cell.num_tokens
        if cell.keep_attention:
            checkpoints += 2 * shape.num_layers * shape.num_heads * shape.head_dim * cell.num_tokens
        memory = torch.cuda.get_device_properties(self.box.device).total_memory
        return checkpoints if checkpoints > OFFLOAD_SHARE * memory else 0

    def _reason_to_skip(self, cell: Cell, offload_bytes: int) -> str | None:
        shortest = self._too_long.get((cell.side, cell.model))
        if shortest is not None and cell.num_tokens >= shortest:
            return f"out of memory at {shortest} tokens already"
        if offload_bytes > self.box.host_bytes:
            needed, there = offload_bytes / 2**30, self.box.host_bytes / 2**30
            return f"{needed:.0f} GiB of checkpoints, {there:.0f} GiB of host memory"
        return None

    def _expected_sec(self, cell: Cell, shape: ModelShape, offload_bytes: int) -> float:
        flops = flops_of_sequence(shape, cell.boundaries)
        rate = self._rates.get((cell.side, cell.model), ASSUMED_FLOPS)
        num_steps = 1 if self.box.is_rehearsal else _num_steps(cell)
        return (
            0.0 if self.box.is_rehearsal else flops * num_steps / rate + offload_bytes / PINNED_BYTES_PER_SEC
        )

    def _build(self, cell: Cell, model: Model, offload: bool) -> Step:
        device = self.box.device
        if cell.side == "plain":
            dtype, autocast = (
                (torch.float32, torch.bfloat16) if model.with_optimizer else (torch.bfloat16, None)
            )
            return PlainStep(model.shape, device, dtype, autocast, model.with_optimizer)
        settings = MemorySettings(MLP_TILE_TOKENS, LOSS_CHUNK_TOKENS, offload, cell.keep_attention)
        if not model.with_optimizer:
            return ProjectStep(
                model.shape, settings, device, torch.bfloat16, with_optimizer=False, kernel=cell.kernel
            )
        if not dist.is_initialized():
            backend = "nccl" if device.type == "cuda" else "gloo"
            dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
        workers = join_workers(SequenceLayout(), device)
        assert workers is not None
        return ProjectStep(
            model.shape, settings, device, torch.bfloat16, workers.mesh, workers.parallel, kernel=cell.kernel
        )

    def _measured(self, cell: Cell, model: Model, shape: ModelShape, offload_bytes: int) -> Mapping[str, Any]:
        step = self.step_of(cell, offload_bytes > 0)
        if offload_bytes:
            _take_pinned(shape, cell.num_tokens)
        sequences = RandomSequences(cell.num_tokens, shape.vocab_size, cell.document_tokens)
        device = self.box.device
        is_cuda = device.type == "cuda"
        if is_cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        seconds, losses = [], []
        for _ in range(_num_steps(cell)):
            started = time.perf_counter()
            losses.append(step.forward_backward(sequences))
            step.update()
            synchronize(device)
            seconds.append(time.perf_counter() - started)
        timed = seconds[1:] or seconds
        sec = statistics.median(timed)
        flops = flops_of_sequence(shape, cell.boundaries)
        self._rates[cell.side, cell.model] = flops / sec
        peak = peak_flops_of(torch.cuda.get_device_name(device)) if is_cuda else None
        return {
            "side": cell.side,
            "model": cell.model,
            "num_tokens": cell.num_tokens,
            "document_tokens": cell.document_tokens,
            "kernel": cell.kernel,
            "keeps_attention": cell.keep_attention,
            "step_sec": timed,
            "tokens_per_sec": cell.num_tokens / sec,
            "mfu": mfu(flops, sec, 1, peak),
            "peak_bytes": torch.cuda.max_memory_allocated() if is_cuda else 0,
            "reserved_bytes": torch.cuda.max_memory_reserved() if is_cuda else 0,
            "offloads_checkpoints": offload_bytes > 0,
            "losses": losses,
        }


def _num_steps(cell: Cell) -> int:
    """Steps that are made; of several the first is not timed."""
    if cell.num_tokens > MOST_REPEATED_TOKENS:
        return 1
    return 2 if cell.model == LARGE else 3


def _take_pinned(shape: ModelShape, num_tokens: int) -> None:
    """Have the page-locked memory in torch's cache before the clock runs: a training run takes it once."""
    size = (num_tokens, shape.hidden_size)
    _ = [torch.empty(size, dtype=torch.bfloat16, pin_memory=True) for _ in range(shape.num_layers)]
