"""Metrics of a training step: a line for people, a JSON line for the record, and the time left."""

import json
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from torch import Tensor

from app.quantities import duration, memory, short
from app.storage import Folder

METRICS_FILE = "metrics.jsonl"
WINDOW_STEPS = 20
"""The time left follows from this many last steps."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class StepMetrics:
    """One optimizer step."""

    stage: str
    step: int
    """Steps of the stage done so far, this one included."""
    num_steps: int
    loss: float
    """Mean over the tokens that the step learned."""
    learning_rate: float
    grad_norm: float
    """Before clipping."""
    tokens_seen: int
    tokens_per_sec_per_device: float
    mfu: float | None
    """None if the device's peak is unknown."""
    peak_memory_bytes: int
    """Largest of all workers."""
    step_sec: float
    sec_left: float | None
    is_gpu: bool
    expert_shares: tuple[float, ...] | None = None
    """Share of the routed tokens that each expert got, over all layers; None without experts."""
    max_expert_load: float | None = None
    """Tokens of the busiest expert of any layer, over those of a layer's mean expert."""
    time: datetime = field(default_factory=_now)

    def line(self) -> str:
        """The step as one line of a log."""
        parts = [
            f"{self.stage}",
            f"step {self.step:,}/{self.num_steps:,}",
            f"loss {self.loss:.3f}",
            f"|g| {self.grad_norm:.2f}",
            f"{self.tokens_per_sec_per_device:,.0f} tok/s/{'GPU' if self.is_gpu else 'worker'}",
            f"peak {memory(self.peak_memory_bytes)}",
            f"{short(self.tokens_seen)} tokens",
            f"{duration(self.sec_left)} left",
        ]
        if self.mfu is not None:
            parts.insert(5, f"MFU {self.mfu:.1%}")
        return "  ".join(parts)

    def record(self) -> dict[str, Any]:
        """JSON values; a number that is not finite, such as the loss of a diverged run, is null."""
        values = asdict(self) | {"time": self.time.isoformat(timespec="seconds")}
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in values.items()
        }

    def scalars(self) -> dict[str, float]:
        """What a tracker plots over the steps."""
        left_out = ("step", "num_steps", "sec_left", "is_gpu")
        return {
            name: float(value)
            for name, value in self.record().items()
            if isinstance(value, int | float) and name not in left_out
        }


def expert_loads(counts: Tensor | None) -> dict[str, Any]:
    """What `StepMetrics` says of experts.

    Args:
        counts: Tokens that each expert got, `[layers, experts]`; None without experts.
    """
    if counts is None:
        return {}
    numbers = counts.double()
    shares = numbers.sum(dim=0) / numbers.sum()
    load = (numbers / numbers.mean(dim=1, keepdim=True)).max()
    return {
        "expert_shares": tuple(round(float(share), 6) for share in shares),
        "max_expert_load": float(load),
    }


class MetricsLog:
    """A stage's metrics as JSON lines, each step once. One process writes.

    Args:
        folder: Folder of the stage.
        name: Name of the file.
    """

    def __init__(self, folder: Folder, name: str = METRICS_FILE) -> None:
        self._folder = folder
        self._name = name
        self._lines: list[str] = []
        self._is_written = True

    def start(self, num_steps_done: int) -> None:
        """Take over what the starts before this one have written, but for steps that will be made again.

        Args:
            num_steps_done: Steps done before the checkpoint that the stage resumes from.
        """
        found = read_records(self._folder, self._name)
        self._lines = [json.dumps(record) for record in found if record["step"] <= num_steps_done]
        # Also when nothing went: a line may have been torn.
        self._is_written = not found

    def add(self, metrics: StepMetrics) -> None:
        self._lines.append(json.dumps(metrics.record(), allow_nan=False))
        self._is_written = False

    def write(self) -> None:
        """Write the whole file to storage, because object stores cannot append."""
        if self._is_written:
            return
        self._folder.write_bytes(self._name, "".join(f"{line}\n" for line in self._lines).encode())
        self._is_written = True


def read_records(folder: Folder, name: str = METRICS_FILE) -> list[dict[str, Any]]:
    """The steps in a metrics file, in order; a line that is not whole is left out, no file has none."""
    if not folder.exists(name):
        return []
    records = []
    for line in folder.read_bytes(name).splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and isinstance(record.get("step"), int):
            records.append(record)
    return records


@dataclass(frozen=True)
class StepTime:
    """How long a step took, and how long the rest of the stage will take."""

    step_sec: float
    sec_left: float


class StepClock:
    """Times steps, and decides when to write a line.

    Args:
        log_interval_sec: Between two answers of `is_time_to_log`.
        clock: Monotonic seconds.
    """

    def __init__(self, log_interval_sec: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._interval_sec = log_interval_sec
        self._next_log = clock() + log_interval_sec
        self._started = clock()
        self._ends: deque[float] = deque(maxlen=WINDOW_STEPS + 1)

    def start(self) -> None:
        """A step begins."""
        self._started = self._clock()

    def stop(self, num_steps_left: int) -> StepTime:
        """The step is over.

        Args:
            num_steps_left: Steps of the stage after this one.
        """
        now = self._clock()
        self._ends.append(now)
        step_sec = now - self._started
        # From end to end: what lies between steps, checkpoints above all, is part of the time that is left. The first
        # step, which compiles and allocates, is so left out as soon as there is a second one.
        num_intervals = len(self._ends) - 1
        pace = (now - self._ends[0]) / num_intervals if num_intervals else step_sec
        return StepTime(step_sec, pace * num_steps_left)

    def is_time_to_log(self) -> bool:
        """True once an interval."""
        if self._clock() < self._next_log:
            return False
        self._next_log = self._clock() + self._interval_sec
        return True
