"""What a gate measured after a stage, compared with the thresholds: RUN/gates/STAGE.json."""

from typing import Any

from app.config import GateConfig
from app.records.record import Record


class NiahScore(Record):
    """Needles that a stage's model finds."""

    model: str
    length_tokens: int
    percent: float


class ShortScores(Record):
    """Means of the short tasks, before the training and after the stage."""

    base: str
    model: str
    base_percent: float
    percent: float


class GateRecord(Record):
    """What was asked and the scores; what was not asked is None."""

    asked: dict[str, Any]
    """All that the scores depend on."""
    niah: NiahScore | None
    short: ShortScores | None

    @property
    def needles_found(self) -> float | None:
        """In percent; None where they were not asked for."""
        return self.niah.percent if self.niah else None

    @property
    def points_lost(self) -> float | None:
        """Of the short tasks' mean, against the model before the training; None where they were not asked."""
        return self.short.base_percent - self.short.percent if self.short else None

    def verdicts(self, gate: GateConfig) -> dict[str, bool | None]:
        """Each threshold that is set → whether the stage keeps it; None where what it is for was not measured."""
        found: dict[str, bool | None] = {}
        if gate.min_niah_percent is not None:
            percent = self.needles_found
            found["min_niah_percent"] = None if percent is None else percent >= gate.min_niah_percent
        if gate.max_short_points_lost is not None:
            lost = self.points_lost
            found["max_short_points_lost"] = None if lost is None else lost <= gate.max_short_points_lost
        return found


class EvaluationRecord(Record):
    """What was asked for a whole report, of which every request was answered."""

    evaluate: dict[str, Any]
    suites: list[str]
    models: list[str]
    seed: int
