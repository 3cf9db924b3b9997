"""What verification makes of a run's rows: thresholds, rejects, and the distributions that the card shows."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from app.config import Config
from app.dataset.result_rows import ResultRows
from app.dataset.thresholds import ShuffledScores, area_under_curve, choose_thresholds, fault_of
from app.records.dataset import VerificationCounts
from app.run import COMPLETE_FILE
from app.schema import Reject
from app.storage import Folder

SHUFFLED_FILE = "shuffled_scores.json"
"""Of the dataset: `ShuffledScores`."""
THRESHOLDS_FILE = "thresholds.json"
"""Of the dataset: the settings of the thresholds that were applied."""
QUANTILES = {"p5": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}


@dataclass(frozen=True)
class JudgedRows:
    """What verification says about all rows."""

    rejects: dict[str, Reject] = field(default_factory=dict)
    """By their seeds."""
    counts: VerificationCounts | None = None
    """None where nothing was to be measured."""


def judge_rows(config: Config, dataset: Folder, results: ResultRows) -> JudgedRows:
    """Apply the thresholds to rows with measures; those without stay.

    Args:
        config: The run's settings.
        dataset: Holds `shuffled_scores.json` if answers were shuffled.
        results: All rows.
    """
    settings = config.agent.verification
    if not settings.is_on:
        return JudgedRows()
    dataset.write_json(THRESHOLDS_FILE, settings.thresholds.model_dump())
    rows = [
        row
        for row in results.read(["seed_id", "task", "reject_reason", "verification"])
        if row["reject_reason"] is None and row["verification"] is not None
    ]
    measured = [row["verification"] for row in rows if row["verification"]["evidence_gain"] is not None]
    shuffled = read_shuffled(dataset)
    thresholds = choose_thresholds(settings.thresholds, measured, shuffled)
    rejects = [reject for row in rows if (reject := fault_of(row, thresholds))]
    reasons = Counter(
        row["verification"]["not_verified"] for row in rows if row["verification"]["not_verified"]
    )
    own = {
        "closed_book": [each["closed_book"] for each in measured],
        "evidence_gain": [each["evidence_gain"] for each in measured],
        "necessity": [
            each["drop"] for one in measured if len(one["necessity"]) > 1 for each in one["necessity"]
        ],
        "distractor_gain": [each["distractor_gain"] for each in measured],
    }
    others = asdict(shuffled)
    return JudgedRows(
        {reject.row_id: reject for reject in rejects},
        VerificationCounts(
            num_verified=len(measured),
            not_verified=dict(sorted(reasons.items())),
            thresholds=asdict(thresholds),
            own=_quantiles(own),
            shuffled=_quantiles(others),
            auc={name: area_under_curve(own[name], scores) for name, scores in others.items()},
        ),
    )


def reopen_for_thresholds(config: Config, dataset: Folder) -> bool:
    """Declare a finished dataset unfinished if other thresholds are wanted than those that were applied.

    Returns:
        Whether it was.
    """
    wanted = config.agent.verification.thresholds.model_dump()
    is_other = (
        dataset.exists(COMPLETE_FILE)
        and dataset.exists(THRESHOLDS_FILE)
        and dataset.read_json(THRESHOLDS_FILE) != wanted
    )
    if is_other:
        dataset.filesystem.delete_file(dataset.file(COMPLETE_FILE))
    return is_other


def forget_shuffled(dataset: Folder) -> None:
    """Drop the measures of shuffled answers: some of their rows will be made again."""
    if dataset.exists(SHUFFLED_FILE):
        dataset.filesystem.delete_file(dataset.file(SHUFFLED_FILE))


def read_shuffled(dataset: Folder) -> ShuffledScores:
    """The measures of shuffled answers; none where none were made."""
    if not dataset.exists(SHUFFLED_FILE):
        return ShuffledScores([], [], [])
    return ShuffledScores(**dataset.read_json(SHUFFLED_FILE))


def _quantiles(signals: Mapping[str, Sequence[float]]) -> dict[str, dict[str, Any]]:
    return {
        name: {each: round(float(np.quantile(scores, share)), 3) for each, share in QUANTILES.items()}
        for name, scores in signals.items()
        if scores
    }
