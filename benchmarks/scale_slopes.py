"""How a measured quantity grows: sizes, values, the exponent that fits them, and what that says of larger sizes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.str_]
"""That texts are drawn from."""

_LEAST = {"sec": 1e-7, "share": 1e-3, "bytes": 4096}
CONSTANT = 0.1
"""Exponent up to which nothing grows, but for noise: a line would make much of that."""
Law = Literal["line", "n√n", "power"]
"""What the algorithm is: a start and so much for each one more; each compared with √n others; or as it was measured."""


@dataclass(frozen=True)
class Slope:
    """One quantity at several sizes."""

    of: str
    """What the sizes count: `documents`."""
    unit: str
    """Of the values: `sec` (of CPU, one process), `bytes`, `files`."""
    sizes: tuple[float, ...]
    values: tuple[float, ...]
    law: Law = "line"

    @property
    def exponent(self) -> float:
        """Of the power law that fits best: 0 is constant, 1 linear; 0 of one size, which tells nothing.

        Of bytes by the two largest sizes: little ones fit into memory that was free.
        """
        first = -2 if self.unit == "bytes" else 0
        sizes, values = np.array(self.sizes[first:]), np.array(self.values[first:])
        if sizes.min() == sizes.max():
            return 0.0
        return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])

    @property
    def per_unit(self) -> float:
        """Of one more, between the two largest sizes: what smaller ones owe to caches and starts is left out."""
        if self.exponent <= CONSTANT:
            return 0.0
        return (self.values[-1] - self.values[-2]) / (self.sizes[-1] - self.sizes[-2])

    def at(self, size: float) -> float:
        """Between the measured sizes, or at a larger one by the law; the mean where nothing grows."""
        if size <= self.sizes[-1]:
            return float(np.interp(size, self.sizes, self.values))
        if self.exponent <= CONSTANT:
            return float(np.mean(self.values))
        if self.law != "line":
            exponent = 1.5 if self.law == "n√n" else self.exponent
            return float(self.values[-1] * (size / self.sizes[-1]) ** exponent)
        return self.values[-1] + self.per_unit * (size - self.sizes[-1])

    def record(self) -> dict[str, Any]:
        """JSON values, the fit with them."""
        return {
            "of": self.of,
            "unit": self.unit,
            "sizes": list(self.sizes),
            "values": list(self.values),
            "law": self.law,
            "exponent": self.exponent,
            "per_unit": self.per_unit,
        }

    @classmethod
    def of_record(cls, record: dict[str, Any]) -> "Slope":
        """What `record` gave."""
        sizes, values = tuple(record["sizes"]), tuple(record["values"])
        return cls(record["of"], record["unit"], sizes, values, record["law"])


Slopes = dict[str, Slope]


class SlopeSet:
    """Collects the values of several quantities, size after size."""

    def __init__(self, of: str) -> None:
        self._of = of
        self._points: dict[tuple[str, str, Law], list[tuple[float, float]]] = {}

    def add(self, name: str, unit: str, size: float, value: float, law: Law = "line") -> None:
        """Add one point; nothing counts as the least that can be told from it."""
        points = self._points.setdefault((name, unit, law), [])
        points.append((size, max(value, _LEAST.get(unit, 1))))

    def slopes(self) -> Slopes:
        """Name → slope."""
        found = {}
        for (name, unit, law), points in self._points.items():
            sizes, values = zip(*points, strict=True)
            found[name] = Slope(self._of, unit, sizes, values, law)
        return found


def cpu_sec(action: Callable[..., Any], *arguments: Any) -> float:
    """CPU seconds of this process that a call takes.

    Not the clock's: others on the machine make it a little slower, not longer.
    """
    started = time.process_time()
    action(*arguments)
    return time.process_time() - started


def least_cpu_sec(repeats: int, action: Callable[..., Any], *arguments: Any) -> float:
    """The least of several times."""
    return min(cpu_sec(action, *arguments) for _ in range(repeats))
