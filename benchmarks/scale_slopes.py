"""How a measured quantity grows: sizes, values, the exponent that fits them, and what that says of larger sizes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.str_]
"""That texts are drawn from."""

_LEAST = {"sec": 1e-7, "share": 1e-3, "bytes": 4096}
FASTER_THAN_LINEAR = 1.1
"""Exponent from which a straight line would tell too little of larger sizes: the noise of measured ones is below."""
CONSTANT = 0.1
"""Exponent up to which nothing grows, but for noise: a line would make much of that."""


@dataclass(frozen=True)
class Slope:
    """One quantity at several sizes."""

    of: str
    """What the sizes count: `documents`."""
    unit: str
    """Of the values: `sec` (of CPU, one process), `bytes`, `files`."""
    sizes: tuple[float, ...]
    values: tuple[float, ...]

    @property
    def exponent(self) -> float:
        """Of the power law that fits best: 0 is constant, 1 linear; 0 of one size, which tells nothing."""
        sizes, values = self._told
        if sizes.min() == sizes.max():
            return 0.0
        return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])

    @property
    def line(self) -> tuple[float, float]:
        """Constant part, and part per unit of size, of the line whose relative errors are the smallest.

        Neither is negative.
        """
        sizes, values = self._told
        weighted = np.column_stack([1 / values, sizes / values])
        constant, per_unit = np.linalg.lstsq(weighted, np.ones(len(sizes)), rcond=None)[0]
        if per_unit < 0 or self.exponent <= CONSTANT:
            return float(values.mean()), 0.0
        if constant < 0:
            shares = sizes / values
            return 0.0, float(shares.sum() / (shares @ shares))
        return float(constant), float(per_unit)

    @property
    def _told(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Sizes and values that tell of larger ones. Of memory the two largest: little ones fit into what was free."""
        first = -2 if self.unit == "bytes" else 0
        return np.array(self.sizes[first:], np.float64), np.array(self.values[first:], np.float64)

    def at(self, size: float) -> float:
        """At a larger size: by the line, or by the power law where that grows faster."""
        if self.exponent > FASTER_THAN_LINEAR:
            return float(self.values[-1] * (size / self.sizes[-1]) ** self.exponent)
        constant, per_unit = self.line
        return constant + per_unit * size

    def record(self) -> dict[str, Any]:
        """JSON values, the fit with them."""
        return {
            "of": self.of,
            "unit": self.unit,
            "sizes": list(self.sizes),
            "values": list(self.values),
            "exponent": self.exponent,
            "per_unit": self.line[1],
        }

    @classmethod
    def of_record(cls, record: dict[str, Any]) -> "Slope":
        """What `record` gave."""
        return cls(record["of"], record["unit"], tuple(record["sizes"]), tuple(record["values"]))


Slopes = dict[str, Slope]


class SlopeSet:
    """Collects the values of several quantities, size after size."""

    def __init__(self, of: str) -> None:
        self._of = of
        self._points: dict[tuple[str, str], list[tuple[float, float]]] = {}

    def add(self, name: str, unit: str, size: float, value: float) -> None:
        """Add one point; nothing counts as the least that can be told from it."""
        self._points.setdefault((name, unit), []).append((size, max(value, _LEAST.get(unit, 1))))

    def slopes(self) -> Slopes:
        """Name → slope."""
        found = {}
        for (name, unit), points in self._points.items():
            sizes, values = zip(*points, strict=True)
            found[name] = Slope(self._of, unit, sizes, values)
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
