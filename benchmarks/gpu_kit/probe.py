"""The RoPE that the probe chooses for SmolLM2 at longer lengths, against a check of all candidates by other needles."""

import multiprocessing
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

from app.probing.tasks import read_task
from benchmarks.gpu_kit.box import Box
from benchmarks.probe import compare, tasks_of

LENGTHS = (10_240, 12_288, 16_384, 32_768)
NUM_HAYSTACKS = 5
"""Of ten needles each."""
NUM_PROCESSES = 8
"""Most of a reading's time goes into the tokenizer and the weights."""


def measure(box: Box) -> None:
    """See the module."""
    if box.is_rehearsal:
        # A candidate takes a minute on a CPU; `benchmarks.probe` reads them there.
        box.write("rehearsal", {"reason": "not read on a CPU"}, "skipped")
        return
    with ProcessPoolExecutor(NUM_PROCESSES, multiprocessing.get_context("spawn")) as pool:
        for length in LENGTHS:
            box.measure(f"{length} tokens", partial(_compared, pool, length), needs_sec=15)


def _compared(pool: ProcessPoolExecutor, length: int) -> Mapping[str, Any]:
    tasks = [task for _, task in tasks_of(length, NUM_HAYSTACKS)]
    readings = zip(tasks, pool.map(read_task, tasks), strict=True)
    known = {task.file_name: reading for task, reading in readings}
    return {"num_haystacks": NUM_HAYSTACKS, **compare(length, NUM_HAYSTACKS, known)}
