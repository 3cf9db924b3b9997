"""What a gate measured behind a stage, held against the thresholds: RUN/gates/STAGE.json, read by whoever judges it."""

from typing import Any

from app.config import GateConfig


def needles_found(record: dict[str, Any]) -> float | None:
    """In percent; None where they were not asked for."""
    niah = record.get("niah")
    return None if not niah or niah["percent"] is None else float(niah["percent"])


def points_lost(record: dict[str, Any]) -> float | None:
    """Of the short tasks' mean, against the model before the training; None where either is not known."""
    short = record.get("short")
    if not short or short["base_percent"] is None or short["percent"] is None:
        return None
    return float(short["base_percent"] - short["percent"])


def verdicts(gate: GateConfig, record: dict[str, Any]) -> dict[str, bool | None]:
    """Each threshold that is set → whether the stage keeps it; None where what it is for was not measured."""
    found: dict[str, bool | None] = {}
    if gate.min_niah_percent is not None:
        percent = needles_found(record)
        found["min_niah_percent"] = None if percent is None else percent >= gate.min_niah_percent
    if gate.max_short_points_lost is not None:
        lost = points_lost(record)
        found["max_short_points_lost"] = None if lost is None else lost <= gate.max_short_points_lost
    return found
