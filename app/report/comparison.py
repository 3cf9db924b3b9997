"""Compares the plan's steps with what was measured.

A bootstrap records each step by itself; a verb that was run alone records all that it did under its own name:
`synthesize` also makes the corpus and the index where they were not there, `train` trains all stages, `evaluate` asks
all models. Planned steps are so put together under the name that their time was measured under.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from app.planning.steps import Plan, PlannedStep
from app.progress.attempts import Attempt, seconds_by_step

HEAD = "head"
"""The plan's row for the head machine, which costs money all the time."""
DATA_STEPS = ("corpus", "index", "synthesize")
"""Verbs of which each also runs the earlier ones if their results are missing."""
LEAST_SHOWN_SEC = 1.0
"""Steps that no plan has, such as this report, are shown if they took at least this long."""


@dataclass(frozen=True)
class ComparedStep:
    """One row of the bill."""

    name: str
    planned: list[PlannedStep] = field(default_factory=list)
    measured_sec: float | None = None
    """Time of all attempts, including killed ones."""
    num_attempts: int = 0
    endpoint_money: float | None = None
    """What an endpoint's tokens cost at the plan's prices."""

    @property
    def planned_sec(self) -> float | None:
        return total([step.seconds for step in self.planned])

    @property
    def planned_money(self) -> float | None:
        return total([step.money for step in self.planned])

    @property
    def measured_money(self) -> float | None:
        """Cost of the measured time on the planned machines at the planned prices. None if steps on different machines
        were measured together.
        """
        if self.endpoint_money is not None:
            return self.endpoint_money
        if self.measured_sec is None or not self.planned:
            return None
        machines = [step.machines for step in self.planned]
        first = machines[0]
        if first is None or any(
            each is None or (each.node_type, each.num_nodes) != (first.node_type, first.num_nodes)
            for each in machines
        ):
            return None
        return first.money(self.measured_sec)


def compare_steps(
    plan: Plan | None,
    attempts: Sequence[Attempt],
    endpoint_money: float | None = None,
    has_own_documents: bool = True,
) -> list[ComparedStep]:
    """All steps that are planned or measured, in their order.

    Args:
        plan: None where there is none.
        attempts: Attempts of the run.
        endpoint_money: What the synthesis cost, where an endpoint wrote it.
        has_own_documents: Whether the run made corpus and index itself.
    """
    seconds = seconds_by_step(list(attempts))
    others = (HEAD,) if has_own_documents else (HEAD, *DATA_STEPS[:-1])
    starts = Counter(each.step for each in attempts)
    planned: dict[str, list[PlannedStep]] = {}
    for step in plan.steps if plan else []:
        if step.name not in others:
            planned.setdefault(_measured_as(step.name, seconds.keys()), []).append(step)
    names = list(planned)
    for before, name in zip([None, *seconds], seconds, strict=False):
        if name not in planned:
            names.insert(names.index(before) + 1 if before is not None else 0, name)
    return [
        ComparedStep(
            name,
            planned.get(name, []),
            seconds.get(name),
            starts[name],
            endpoint_money if name == DATA_STEPS[-1] else None,
        )
        for name in names
        if name in planned or seconds[name] >= LEAST_SHOWN_SEC
    ]


def total(numbers: Sequence[float | None]) -> float | None:
    """Their sum; None where one of them is not known, as a sum of fewer would pass for the sum of all."""
    known = [number for number in numbers if number is not None]
    return sum(known) if known and len(known) == len(numbers) else None


def _measured_as(planned: str, measured: Collection[str]) -> str:
    """The name under which a planned step's time was measured; its own where it was not."""
    candidates = [planned]
    if planned in DATA_STEPS:
        candidates += DATA_STEPS[DATA_STEPS.index(planned) + 1 :]
    else:
        # `train 256k`, `evaluate base`.
        candidates.append(planned.partition(" ")[0])
    return next((name for name in candidates if name in measured), planned)
