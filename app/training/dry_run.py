"""Runs one step of a stage with its largest batch, to measure memory and time before days are spent."""

import numpy as np
import torch

from app.progress.attempts import Report
from app.quantities import duration, memory
from app.training.batches import Sequences, sequences_of_step
from app.training.loop import StageTask, start_trainer

DRY_RUN_FILE = "dry_run.json"


def largest_step(sequences: Sequences, num_steps: int, sequences_per_step: int) -> int:
    """The step whose documents cost attention most: the sum of their squared lengths."""

    def cost(step: int) -> float:
        return sum(_squares(sequences, index) for index in sequences_of_step(step, sequences_per_step))

    return max(range(num_steps), key=cost)


def _squares(sequences: Sequences, index: int) -> float:
    lengths = np.diff(np.append(sequences.starts(index), sequences.seq_tokens)).astype(float)
    return float((lengths**2).sum())


def dry_run_stage(task: StageTask, device: torch.device, report: Report) -> None:
    """Take that step twice, the second time with the optimizer's state in place, and leave nothing but its figures.

    The weights are those before the first stage: the stage's own are not there yet, and memory does not care.
    """
    trainer = start_trainer(task, device, report)
    if trainer is None:
        return
    stage = task.stage
    step = largest_step(trainer.sequences, stage.total_steps, stage.sequences_per_step)
    for _ in range(2):
        trainer.step = step
        metrics = trainer.train_step()
    if trainer.workers.is_leader:
        task.folder.write_json(DRY_RUN_FILE, {"largest_step": step, **metrics.record()})
        report(
            f"stage {stage.name}: its largest batch takes {metrics.step_sec:.1f} s a step and "
            f"{memory(metrics.peak_memory_bytes)} a worker; "
            f"{stage.total_steps} steps take about {duration(stage.total_steps * metrics.step_sec)}"
        )
