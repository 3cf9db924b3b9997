"""The steps of a plan and what each needs, as plain numbers for the table and the JSON file."""

from dataclasses import dataclass, field
from typing import Any

from app.planning.machines import Machines
from app.quantities import GIB


@dataclass(frozen=True)
class PlannedStep:
    """A part of a job that runs on one kind of machine."""

    name: str
    work: str
    """How much there is to do, in words."""
    machines: Machines | None = None
    """None if the step uses an endpoint, or models that run anyway."""
    seconds: float | None = None
    """None if it cannot be estimated."""
    flops: float | None = None
    """FLOPs computed, recomputation included."""
    num_calls: float = 0.0
    prompt_tokens: float = 0.0
    output_tokens: float = 0.0
    storage_bytes: float = 0.0
    other_money: float | None = None
    """Cost of anything but machine time, such as an endpoint's tokens."""

    @property
    def gpu_hours(self) -> float:
        if self.machines is None or self.seconds is None or not self.machines.device.is_gpu:
            return 0.0
        return self.machines.device_hours(self.seconds)

    @property
    def money(self) -> float | None:
        if self.machines is None or self.seconds is None:
            return self.other_money
        return self.machines.money(self.seconds)

    def record(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "name": self.name,
            "work": self.work,
            "node_type": self.machines.node_type if self.machines else None,
            "num_devices": self.machines.num_devices if self.machines else 0,
            "num_nodes": self.machines.num_nodes if self.machines else 0,
            "seconds": self.seconds,
            "gpu_hours": self.gpu_hours,
            "flops": self.flops,
            "num_calls": round(self.num_calls),
            "prompt_tokens": round(self.prompt_tokens),
            "output_tokens": round(self.output_tokens),
            "storage_bytes": round(self.storage_bytes),
            "money": self.money,
        }


@dataclass(frozen=True)
class PlannedMemory:
    """What one device holds for a step."""

    name: str
    parts_bytes: dict[str, float]
    limit_bytes: float
    host_bytes: float = 0.0
    """Host memory needed on one machine."""
    needs: str = ""
    """Settings without which the step would not fit."""
    note: str = ""

    @property
    def total_bytes(self) -> float:
        return sum(self.parts_bytes.values())

    def record(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "name": self.name,
            "parts_gib": {name: round(part / GIB, 2) for name, part in self.parts_bytes.items()},
            "total_gib": round(self.total_bytes / GIB, 2),
            "limit_gib": round(self.limit_bytes / GIB, 2),
            "host_gib": round(self.host_bytes / GIB, 2),
            "needs": self.needs,
            "note": self.note,
        }


@dataclass
class Plan:
    """Everything that a recipe will take."""

    title: str
    steps: list[PlannedStep] = field(default_factory=list)
    memory: list[PlannedMemory] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    """The generator's calls, one record per step of the workflow."""
    faults: list[str] = field(default_factory=list)
    """What does not fit, with the smallest change that makes it fit."""
    notes: list[str] = field(default_factory=list)
    """What is assumed, and what is not known."""

    @property
    def seconds(self) -> float:
        """Total time if the steps run one after another."""
        return sum(step.seconds or 0.0 for step in self.steps)

    @property
    def money(self) -> float | None:
        found = [step.money for step in self.steps if step.money is not None]
        return sum(found) if found else None

    def record(self) -> dict[str, Any]:
        """JSON values; FLOPs, bytes and money are exact as far as the formulas are."""
        return {
            "title": self.title,
            "steps": [step.record() for step in self.steps],
            "total": {
                "seconds": self.seconds,
                "gpu_hours": sum(step.gpu_hours for step in self.steps),
                "storage_bytes": round(sum(step.storage_bytes for step in self.steps)),
                "money": self.money,
            },
            "calls": self.calls,
            "memory": [each.record() for each in self.memory],
            "faults": self.faults,
            "notes": self.notes,
        }
