"""Scores of answers, and confidence intervals of their means."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

NUM_RESAMPLES = 1000
CONFIDENCE = 0.95
_QUANTILE = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
_CONTROL = re.compile(r"[\x00-\x1f]")


def clean_prediction(prediction: str) -> str:
    """What RULER compares: control characters are line breaks, and none of these or blanks are at the ends."""
    return _CONTROL.sub("\n", prediction.strip()).strip()


def string_match_all(prediction: str, references: Sequence[str]) -> float:
    """Share of the references that a prediction holds, in whatever case, inside of words too (RULER).

    Args:
        prediction: The model's answer, unchanged.
        references: At least one.
    """
    return sum(_found(prediction, references)) / len(references)


def string_match_part(prediction: str, references: Sequence[str]) -> float:
    """1 where a prediction holds one of the references at least, else 0; otherwise as `string_match_all`."""
    return float(any(_found(prediction, references)))


def _found(prediction: str, references: Sequence[str]) -> list[bool]:
    assert references
    text = clean_prediction(prediction).lower()
    return [reference.lower() in text for reference in references]


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean, and the interval that it is in."""

    value: float
    low: float
    high: float


def mean_with_interval(groups: Sequence[Sequence[float]], seed: int = 0) -> Mean:
    """Mean of the groups' means, with its confidence interval.

    The interval of a group is Wilson's score interval if all its scores are 0 or 100 (or all are the same), otherwise
    the percentile bootstrap's. Groups are independent, and are all there are (RULER's tasks): their intervals are
    combined by squares and sums (MOVER, Zou and Donner 2008), so that groups without any spread widen it, too.

    Args:
        groups: Scores of the samples in percent; none is empty.
        seed: Seed of the resampling.
    """
    rng = np.random.default_rng(seed)
    means = [_group_mean(np.asarray(group, np.float64), rng) for group in groups]
    value = sum(mean.value for mean in means) / len(means)
    below = math.hypot(*(mean.value - mean.low for mean in means)) / len(means)
    above = math.hypot(*(mean.high - mean.value for mean in means)) / len(means)
    return Mean(value, max(value - below, 0.0), min(value + above, 100.0))


def wilson_interval(percent: float, num_samples: int) -> tuple[float, float]:
    """Wilson's score interval of a share, in percent. For scores between 0 and 100 it is rather too wide."""
    share, spread = percent / 100, _QUANTILE**2 / num_samples
    centre = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    return 100 * max(centre - half, 0.0), 100 * min(centre + half, 1.0)


def _group_mean(scores: npt.NDArray[np.float64], rng: np.random.Generator) -> Mean:
    value = float(scores.mean())
    if np.isin(scores, (0.0, 100.0)).all() or (scores == scores[0]).all():
        low, high = wilson_interval(value, len(scores))
        # Rounding must not put the mean itself outside.
        return Mean(value, min(low, value), max(high, value))
    means = _resampled_means(scores, rng)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Mean(value, float(low), float(high))


def _resampled_means(scores: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    drawn = rng.integers(0, len(scores), size=(NUM_RESAMPLES, len(scores)))
    means: npt.NDArray[np.float64] = scores[drawn].mean(axis=1)
    return means
