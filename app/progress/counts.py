"""Counts of a running synthesis, and what follows from them: rates and the time left.

Agent actors count (`app.progress.actor.ProgressSender`), one actor adds up, the driver shows
(`app.progress.view`). Nothing here knows of Ray or of a terminal.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

RATE_WINDOW_SEC = 60.0
"""Calls and tokens a second are of this last stretch."""
SEED_WINDOW_SEC = 900.0
"""The time left follows from the seeds finished in this last stretch: they end rarely, and in bursts."""


@dataclass
class StepCounts:
    """LLM calls of one step of the workflow. Replayed calls' tokens were paid for and counted earlier."""

    calls: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    """Prompt tokens that the engine's prefix cache served."""
    replayed: int = 0

    def add(self, other: "StepCounts") -> None:
        for item in fields(self):
            setattr(self, item.name, getattr(self, item.name) + getattr(other, item.name))


@dataclass
class Delta:
    """Counts of one agent actor since its last report."""

    steps: dict[str, StepCounts] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)
    """Finished seeds: id → reject reason, or an empty string for an example."""


@dataclass
class Counters:
    """Counts of this start of the job."""

    num_seeds: int
    num_seeds_done_before: int = 0
    """Seeds finished by earlier starts of the same job."""
    num_examples: int = 0
    rejects: dict[str, int] = field(default_factory=dict)
    """Number of rejected seeds by reason."""
    steps: dict[str, StepCounts] = field(default_factory=dict)

    @property
    def num_rejects(self) -> int:
        return sum(self.rejects.values())

    @property
    def num_seeds_done(self) -> int:
        """Seeds finished in all starts of the job; at most `num_seeds`, although a crash may repeat a seed."""
        return min(self.num_seeds, self.num_seeds_done_before + self.num_examples + self.num_rejects)

    @property
    def total(self) -> StepCounts:
        """Counts of all steps together."""
        total = StepCounts()
        for counts in self.steps.values():
            total.add(counts)
        return total

    def add_steps(self, steps: dict[str, StepCounts]) -> None:
        for step, counts in steps.items():
            self.steps.setdefault(step, StepCounts()).add(counts)

    def add_outcome(self, reason: str, number: int = 1) -> None:
        """Count a finished seed, or with `number=-1` take it back; without a reason it became an example."""
        if not reason:
            self.num_examples += number
        else:
            self.rejects[reason] = self.rejects.get(reason, 0) + number
            if not self.rejects[reason]:
                del self.rejects[reason]

    def add(self, other: "Counters") -> None:
        """Add what another set of counters of the same job has counted."""
        self.num_examples += other.num_examples
        for reason, number in other.rejects.items():
            self.add_outcome(reason, number)
        self.add_steps(other.steps)


class Tally:
    """Adds deltas up. A seed counts once, however often it is reported: its last outcome holds."""

    def __init__(self, num_seeds: int, num_seeds_done_before: int = 0) -> None:
        self.counters = Counters(num_seeds, num_seeds_done_before)
        self._outcomes: dict[str, str] = {}

    def add(self, delta: Delta) -> None:
        self.counters.add_steps(delta.steps)
        for seed_id, reason in delta.outcomes.items():
            if seed_id in self._outcomes:
                self.counters.add_outcome(self._outcomes[seed_id], -1)
            self._outcomes[seed_id] = reason
            self.counters.add_outcome(reason)


@dataclass(frozen=True)
class Reading:
    """The counters at one moment, with their rates."""

    counters: Counters
    elapsed_sec: float
    calls_per_sec: float
    prompt_tokens_per_sec: float
    output_tokens_per_sec: float
    sec_left: float | None
    """Time left; None until a seed has been finished."""

    def record(self) -> dict[str, Any]:
        """JSON values: one line of the progress file."""
        counters, total = self.counters, self.counters.total
        return {
            "elapsed_sec": round(self.elapsed_sec, 1),
            "num_seeds": counters.num_seeds,
            "num_seeds_done": counters.num_seeds_done,
            "num_seeds_done_before": counters.num_seeds_done_before,
            "num_examples": counters.num_examples,
            "num_rejects": counters.num_rejects,
            "rejects": dict(counters.rejects),
            **asdict(total),
            "calls_per_sec": round(self.calls_per_sec, 2),
            "prompt_tokens_per_sec": round(self.prompt_tokens_per_sec, 1),
            "output_tokens_per_sec": round(self.output_tokens_per_sec, 1),
            "sec_left": None if self.sec_left is None else round(self.sec_left, 1),
            "steps": {step: asdict(counts) for step, counts in counters.steps.items()},
        }


class Meter:
    """Turns successive counters into readings."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start = clock()
        self._calls: deque[tuple[float, StepCounts]] = deque()
        self._seeds: deque[tuple[float, int]] = deque()

    def read(self, counters: Counters) -> Reading:
        now, total = self._clock(), counters.total
        made = counters.num_examples + counters.num_rejects
        if not self._calls:
            self._calls.append((self._start, StepCounts()))
        self._calls.append((now, total))
        _drop_before(self._calls, now - RATE_WINDOW_SEC)
        # Loading an engine takes minutes in which no seed can end: their clock starts with the first call.
        if total.calls or total.replayed or made:
            self._seeds.append((now, made))
            _drop_before(self._seeds, now - SEED_WINDOW_SEC)

        since, was = self._calls[0]
        seconds = max(now - since, 1e-9)
        return Reading(
            counters=counters,
            elapsed_sec=now - self._start,
            calls_per_sec=(total.calls - was.calls) / seconds,
            prompt_tokens_per_sec=(total.prompt_tokens - was.prompt_tokens) / seconds,
            output_tokens_per_sec=(total.output_tokens - was.output_tokens) / seconds,
            sec_left=self._sec_left(now, made, counters.num_seeds - counters.num_seeds_done),
        )

    def _sec_left(self, now: float, made: int, num_left: int) -> float | None:
        if num_left <= 0:
            return 0.0
        if not self._seeds:
            return None
        since, was = self._seeds[0]
        if made <= was or now <= since:
            return None
        return num_left * (now - since) / (made - was)


def _drop_before(samples: deque[Any], oldest: float) -> None:
    """Keep one sample that is at least as old as the window, to measure from."""
    while len(samples) > 2 and samples[1][0] <= oldest:
        samples.popleft()
