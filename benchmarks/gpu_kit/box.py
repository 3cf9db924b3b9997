"""What a step is given: a device, a time to be ready by, and a place for what it finds."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_kit.records import Record, append


@dataclass(frozen=True)
class Box:
    """One step's share of the machine."""

    step: str
    file: Path
    """Takes the records."""
    device: torch.device
    stop_at: float
    """On the monotonic clock, which all processes of a machine share: nothing that would end later is begun."""
    host_bytes: float
    """Memory of the host that offloaded checkpoints may take."""
    scratch: Path
    """Folder for files that are not kept."""
    data: Path | None = None
    """Folder that `benchmarks.gpu_kit.extension_data` made."""
    done: Mapping[str, str] = field(default_factory=dict)
    """Key of what an earlier call has found → the record's status."""
    is_rehearsal: bool = False
    """Tiny shapes on a CPU: to see that everything runs."""

    @property
    def left_sec(self) -> float:
        return self.stop_at - time.monotonic()

    def write(self, key: str, values: Mapping[str, Any], status: str = "measured") -> None:
        """Put down what was found."""
        append(self.file, [Record(self.step, key, status, values)])

    def measure(self, key: str, work: Callable[[], Mapping[str, Any]], needs_sec: float = 0.0) -> str:
        """Do one piece of work and put down what it gives, or why it gives nothing; returns the record's status.

        Args:
            key: Of the record; known from an earlier call, nothing is done.
            work: Gives the values.
            needs_sec: How long it will take; with less left it is skipped.
        """
        if key in self.done:
            return self.done[key]
        if self.left_sec < needs_sec:
            reason = f"would take about {needs_sec:.0f} s, {max(self.left_sec, 0):.0f} s are left"
            self.write(key, {"reason": reason}, "skipped")
            return "skipped"
        started = time.perf_counter()
        try:
            values, status = dict(work()), "measured"
        except torch.OutOfMemoryError as error:
            values, status = {"reason": first_line(error)}, "out of memory"
        except Exception as error:
            # One piece that fails must not take the others of a rented quarter of an hour with it.
            values, status = {"reason": f"{type(error).__name__}: {first_line(error)}"}, "failed"
        self.write(key, {**values, "sec": round(time.perf_counter() - started, 3)}, status)
        return status


def first_line(error: BaseException) -> str:
    """What an error says, without its explanations."""
    return str(error).partition("\n")[0][:400]


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(device: torch.device, work: Callable[[], Any], num_repeats: int = 3) -> list[float]:
    """Seconds of some repeats after a first, which is not counted."""
    seconds = []
    for _ in range(1 + num_repeats):
        started = time.perf_counter()
        work()
        synchronize(device)
        seconds.append(time.perf_counter() - started)
    return seconds[1:]
