"""Which verified rows become examples: thresholds, where they come from, and what speaks against a row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.agent.prompts import TASKS
from app.config import ThresholdConfig
from app.schema import Reject

STEP = "verification"
MIN_SHUFFLED = 8
"""Fewer shuffled answers give no threshold."""


@dataclass(frozen=True, slots=True)
class ShuffledScores:
    """Measures of answers that stand with another row's instruction and evidence."""

    closed_book: list[float]
    evidence_gain: list[float]
    necessity: list[float]
    """What is lost without one evidence document; only of rows that have several."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What a row must reach; None: anything will do."""

    min_evidence_gain: float | None
    max_closed_book: float | None
    min_necessity: float | None
    max_distractor_share: float
    min_judged: int


def choose_thresholds(
    settings: ThresholdConfig, verified: Sequence[Mapping[str, Any]], shuffled: ShuffledScores
) -> Thresholds:
    """The user's thresholds, and for the omitted ones those that follow from the run's own answers.

    Args:
        settings: The user's.
        verified: The column `verification` of rows that were measured.
        shuffled: The same measures of shuffled answers.
    """
    return Thresholds(
        _first(settings.min_evidence_gain, _exceeded(shuffled.evidence_gain, settings.shuffled_share)),
        _first(settings.max_closed_book, _half_way(verified, shuffled.closed_book)),
        _first(settings.min_necessity, _exceeded(shuffled.necessity, settings.shuffled_share)),
        settings.max_distractor_share,
        settings.min_judged,
    )


def fault_of(row: Mapping[str, Any], thresholds: Thresholds) -> Reject | None:
    """What speaks against a row; None: nothing, or nothing was measured.

    Args:
        row: Of RESULT_SCHEMA, or its `seed_id`, `task` and `verification`.
        thresholds: To be reached.

    Returns:
        A reject with the first of the reasons `known without documents`, `not in its evidence`, `unmarked evidence`,
        `needs too few documents`, `judged irrelevant` and `judged wrong`.
    """
    measured = row["verification"]
    if measured is None:
        return None
    reason = _judged(measured, thresholds)
    if measured["evidence_gain"] is not None:
        reason = _measured(measured, TASKS[row["task"]].min_documents, thresholds) or reason
    return Reject(row["seed_id"], STEP, *reason) if reason else None


def area_under_curve(own: Sequence[float], shuffled: Sequence[float]) -> float | None:
    """Probability that an own answer scores above a shuffled one (AUC); None where one of the two is missing."""
    if not own or not shuffled:
        return None
    ours, others = np.asarray(own)[:, None], np.asarray(shuffled)[None, :]
    return float(np.mean((ours > others) + 0.5 * (ours == others)))


def _measured(
    measured: Mapping[str, Any], min_documents: int, thresholds: Thresholds
) -> tuple[str, str] | None:
    closed, gain, beside = measured["closed_book"], measured["evidence_gain"], measured["distractor_gain"]
    if thresholds.max_closed_book is not None and closed > thresholds.max_closed_book:
        return "known without documents", f"{closed:.2f} > {thresholds.max_closed_book:.2f}"
    if thresholds.min_evidence_gain is not None and gain < thresholds.min_evidence_gain:
        return "not in its evidence", f"{gain:.2f} < {thresholds.min_evidence_gain:.2f}"
    if beside > thresholds.max_distractor_share * max(gain, 0.0) and beside > 0.0:
        return "unmarked evidence", f"{beside:.2f} beside {gain:.2f}"
    if min_documents > 1 and thresholds.min_necessity is not None:
        num_needed = sum(each["drop"] >= thresholds.min_necessity for each in measured["necessity"])
        if num_needed < min_documents:
            return "needs too few documents", f"{num_needed} of {min_documents}"
    return None


def _judged(measured: Mapping[str, Any], thresholds: Thresholds) -> tuple[str, str] | None:
    for name, reason in (("judged_relevance", "judged irrelevant"), ("judged_correctness", "judged wrong")):
        grade = measured[name]
        if grade is not None and grade < thresholds.min_judged:
            return reason, f"{grade} < {thresholds.min_judged}"
    return None


def _first(given: float | None, derived: float | None) -> float | None:
    return derived if given is None else given


def _exceeded(scores: Sequence[float], share: float) -> float | None:
    """What that share of the scores exceeds; nothing that adds nothing is let pass."""
    return max(0.0, float(np.quantile(scores, 1.0 - share))) if len(scores) >= MIN_SHUFFLED else None


def _half_way(verified: Sequence[Mapping[str, Any]], shuffled: Sequence[float]) -> float | None:
    """Half way from the likelihood that shuffled answers have to that of answers with their evidence."""
    if len(shuffled) < MIN_SHUFFLED:
        return None
    with_evidence = [row["closed_book"] + row["evidence_gain"] for row in verified]
    return float((np.median(shuffled) + np.median(with_evidence)) / 2)
