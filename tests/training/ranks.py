"""Several processes on this machine, told what a cluster would tell them.

They are forked from one process that has imported what all of them need, as the imports take longer than most tests.
"""

import importlib
import os
import sys
import time
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.distributed as dist

TIMEOUT_SEC = 240
_IMPORTED_ONCE = (
    "torch.distributed.checkpoint",
    "torch.distributed.tensor",
    "transformers.models.llama.modeling_llama",
)


@dataclass(frozen=True)
class Ended:
    """How all processes of a run ended."""

    exit_codes: list[int]
    """By rank; a signal that ended one is negative."""
    output: str
    """What they wrote to both streams, rank after rank."""


def run_ranks(num_processes: int, module: str, *arguments: str) -> Ended:
    """Call a module's `main` in each of several processes of one group and wait; one that fails ends the others.

    Raises:
        TimeoutError: They took longer than `TIMEOUT_SEC`; all were ended.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(list(_IMPORTED_ONCE))
    with TemporaryDirectory() as folder:
        processes = [
            context.Process(
                target=_run_rank, args=(folder, rank, num_processes, module, arguments), daemon=True
            )
            for rank in range(num_processes)
        ]
        for process in processes:
            process.start()
        try:
            _join(processes)
        finally:
            for process in processes:
                process.kill()
                process.join()
        exit_codes = [process.exitcode for process in processes]
        outputs = [Path(folder, str(rank)) for rank in range(num_processes)]
        text = "\n".join(output.read_text("utf-8", "replace") for output in outputs if output.exists())
    return Ended([code if code is not None else 1 for code in exit_codes], text)


def _join(processes: list[ForkServerProcess]) -> None:
    """Until all have ended, or one has failed."""
    ends_at = time.monotonic() + TIMEOUT_SEC
    running = {process.sentinel: process for process in processes}
    while running:
        ended = wait(list(running), timeout=max(0.0, ends_at - time.monotonic()))
        if not ended:
            raise TimeoutError(f"processes still run after {TIMEOUT_SEC} s")
        for sentinel in ended:
            process = running.pop(sentinel)
            process.join()
            if process.exitcode != 0:
                return


def _run_rank(folder: str, rank: int, num_processes: int, module: str, arguments: tuple[str, ...]) -> None:
    stream = os.open(f"{folder}/{rank}", os.O_WRONLY | os.O_CREAT)
    os.dup2(stream, sys.stdout.fileno())
    os.dup2(stream, sys.stderr.fileno())
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    # They find each other by a file, so no port can be somebody else's.
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=num_processes)
    importlib.import_module(module).main(*arguments)
    dist.destroy_process_group()
