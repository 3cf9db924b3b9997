"""Settings of the whole loop: rounds and gates."""

from typing import Annotated, Any

from pydantic import Field, PositiveInt

from app.config.section import Section


class GateConfig(Section):
    """Scores that a stage must reach before the next, more expensive stage starts. Omitted scores are not measured."""

    min_niah_percent: Annotated[float | None, Field(ge=0.0, le=100.0)] = None
    """Lowest share of needles found, in percent, at the longest of evaluate.niah.lengths_tokens that the stage can
    read."""
    max_short_points_lost: Annotated[float | None, Field(ge=0.0, le=100.0)] = None
    """Largest drop, in points, of the mean over evaluate.short.tasks, compared with the first of the evaluated
    models."""

    @property
    def is_set(self) -> bool:
        return self.min_niah_percent is not None or self.max_short_points_lost is not None


class BootstrapConfig(Section):
    """The whole loop: documents, dataset, stages, gates, evaluation, report."""

    rounds: PositiveInt = 1
    """How many times to run the loop. From round 2 on, the model extended in the previous round writes the examples;
    the stages start from the original model again. Each later round has its own folder in the run: round2, round3 …"""
    later_rounds: dict[str, Any] = {}
    """Settings to override in all rounds after the first, by dotted name, e.g. {generator.max_model_tokens: 131072}."""
    gate: GateConfig = GateConfig()
