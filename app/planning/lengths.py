"""Distributions of text lengths in tokens, as weighted points, derived from the settings or a corpus."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from app.config import LengthRange

Values = npt.NDArray[np.float64]
POINTS_PER_RANGE = 32
NUM_QUANTILES = 400
SPREAD = 1.0
"""Standard deviation of the logarithm of a web document's length, where only the mean is known. Texts of people follow
a lognormal distribution (Sobkowicz et al., EPJ Data Science 2:2, 2013); the width is an assumption."""


@dataclass(frozen=True)
class Lengths:
    """Lengths and how often each occurs."""

    tokens: Values
    """`[num_points]`, above 0."""
    weights: Values
    """`[num_points]`; only their ratios count."""

    @property
    def mean(self) -> float:
        return self.mean_of(lambda tokens: tokens)

    def mean_of(self, value: Callable[[Values], Values]) -> float:
        """Expected value of a function of the length."""
        return float(np.average(value(self.tokens), weights=self.weights))

    def at_most(self, tokens: float) -> "Lengths":
        """The lengths, with longer ones cut to `tokens`."""
        return Lengths(np.minimum(self.tokens, tokens), self.weights)

    def between(self, least: float, most: float) -> "Lengths | None":
        """Only the lengths in `[least, most]`; None if there are none."""
        kept = (self.tokens >= least) & (self.tokens <= most)
        return Lengths(self.tokens[kept], self.weights[kept]) if kept.any() else None

    def weighted_by_length(self) -> "Lengths":
        """Lengths of the texts that randomly drawn tokens or passages belong to: longer texts are drawn more often."""
        return Lengths(self.tokens, self.weights * self.tokens)


def of_ranges(ranges: Iterable[LengthRange]) -> Lengths:
    """Lengths that are uniform within each range, with the ranges by weight, as `app.dataset.seeds.draw_length`
    draws.
    """
    tokens, weights = [], []
    for each in ranges:
        steps = (np.arange(POINTS_PER_RANGE) + 0.5) / POINTS_PER_RANGE
        tokens.append(each.min_tokens + steps * (each.max_tokens - each.min_tokens))
        weights.append(np.full(POINTS_PER_RANGE, each.weight / POINTS_PER_RANGE))
    return Lengths(np.concatenate(tokens), np.concatenate(weights))


def of_mean(mean: float, spread: float = SPREAD) -> Lengths:
    """Lognormal with this mean, by its quantiles."""
    normal = NormalDist(sigma=spread)
    steps = [(index + 0.5) / NUM_QUANTILES for index in range(NUM_QUANTILES)]
    tokens = np.exp(np.array([normal.inv_cdf(step) for step in steps]))
    return Lengths(np.maximum(tokens * mean / tokens.mean(), 1.0), np.ones(NUM_QUANTILES))


def of_counts(counts: npt.ArrayLike) -> Lengths:
    """Lengths that were counted."""
    tokens, numbers = np.unique(np.asarray(counts, dtype=np.float64), return_counts=True)
    assert len(tokens)
    assert tokens[0] > 0
    return Lengths(tokens, numbers.astype(np.float64))


def of_one(tokens: float) -> Lengths:
    """Texts that all have the same length."""
    return Lengths(np.array([float(tokens)]), np.ones(1))
