"""Runs the steps one after another, each in a process of its own that is ended when its time is over."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gpu_kit.records import FILE, Record, append, latest, read_records
from benchmarks.gpu_kit.steps import KitStep
from benchmarks.gpu_kit.summary import row_of, write_summary
from benchmarks.record import ROOT, child_environment, say

LEAST_SEC = 8.0
"""With less left no step is begun."""
GRACE_SEC = 4.0
"""Before the end of its box a step begins nothing more, and it has so long to write what it has."""
POLL_SEC = 0.2
ENVIRONMENT = {
    "PYTORCH_ALLOC_CONF": "expandable_segments:True",
    "NCCL_SOCKET_IFNAME": "lo",
    "GLOO_SOCKET_IFNAME": "lo",
}


@dataclass(frozen=True)
class Kit:
    """One call of the kit."""

    out: Path
    """Folder of the records and the summary."""
    scratch: Path
    """Folder for files that are not kept."""
    budget_sec: float
    """For all steps together."""
    host_gib: float
    """Memory of the host that offloaded checkpoints may take."""
    data: Path | None
    """Folder that `benchmarks.gpu_kit.extension_data` made."""
    is_rehearsal: bool

    @property
    def file(self) -> Path:
        return self.out / FILE


def take_over(kit: Kit, done: Path) -> None:
    """Put the records of an earlier call before those of this one."""
    append(kit.file, latest(read_records(done / FILE)).values())


def run_steps(kit: Kit, steps: Sequence[KitStep]) -> None:
    """Run what there is time for. After each record the summary is up to date."""
    stop_at = time.monotonic() + kit.budget_sec
    write_summary(kit.out)
    for step in steps:
        left_sec = stop_at - time.monotonic()
        if left_sec < LEAST_SEC:
            say(f"{step.name}: not begun, {max(left_sec, 0):.0f} s are left")
            continue
        box_sec = min(step.box_sec, left_sec)
        say(f"{step.name}: {step.what}, at most {box_sec:.0f} s")
        _run_step(kit, step, time.monotonic() + box_sec)
    write_summary(kit.out)


def _run_step(kit: Kit, step: KitStep, end_at: float) -> None:
    command = [sys.executable, "-u", "-m", "benchmarks.gpu_kit.worker", step.name, str(kit.file)]
    command += [str(end_at - GRACE_SEC), str(kit.scratch), "--host-gib", str(kit.host_gib)]
    command += ["--data", str(kit.data)] if kit.data else []
    command += ["--rehearse"] * kit.is_rehearsal
    num_known = len(read_records(kit.file))
    started = time.monotonic()
    with (kit.out / "kit.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=child_environment() | ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            while process.poll() is None and time.monotonic() < end_at:
                time.sleep(POLL_SEC)
                num_known = _tell_new(kit, num_known)
        finally:
            is_late = process.poll() is None
            # A step may have started processes of its own, also where it has ended by itself.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if is_late:
        append(kit.file, [Record(step.name, "whole step", "failed", {"reason": "ended by its time limit"})])
    _tell_new(kit, num_known)
    say(f"{step.name}: {time.monotonic() - started:.0f} s")


def _tell_new(kit: Kit, num_known: int) -> int:
    records = read_records(kit.file)
    for record in records[num_known:]:
        say(f"  {row_of(record)}")
    if len(records) > num_known:
        write_summary(kit.out)
    return len(records)
