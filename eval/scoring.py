"""Scores of answers, and confidence intervals of their means."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

NUM_RESAMPLES = 1000
CONFIDENCE = 0.95
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


def bootstrap_mean(groups: Sequence[Sequence[float]], seed: int = 0) -> Mean:
    """Mean of the groups' means, with its percentile bootstrap interval.

    Samples are drawn again inside of their groups: these (RULER's tasks) are all there are, and no sample of more.

    Args:
        groups: Scores of the samples; none is empty.
        seed: Seed of the resampling.
    """
    rng = np.random.default_rng(seed)
    value = float(np.mean([np.mean(group) for group in groups]))
    means = np.mean([_resampled_means(np.asarray(group, np.float64), rng) for group in groups], axis=0)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Mean(value, float(low), float(high))


def _resampled_means(scores: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    drawn = rng.integers(0, len(scores), size=(NUM_RESAMPLES, len(scores)))
    means: npt.NDArray[np.float64] = scores[drawn].mean(axis=1)
    return means
