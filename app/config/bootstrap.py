"""Settings of the whole loop: rounds and gates."""

from typing import Annotated, Any

from pydantic import Field, PositiveInt

from app.config.section import Section


class GateConfig(Section):
    """What each stage must reach before the next, dearer one is started. Left out: it is not measured."""

    min_niah_percent: Annotated[float | None, Field(ge=0.0, le=100.0)] = None
    """Needles found at the longest of evaluate.niah.lengths_tokens that the stage reads."""
    max_short_points_lost: Annotated[float | None, Field(ge=0.0, le=100.0)] = None
    """Of the mean over evaluate.short.tasks, in points, against the first of the evaluated models."""

    @property
    def is_set(self) -> bool:
        return self.min_niah_percent is not None or self.max_short_points_lost is not None


class BootstrapConfig(Section):
    """The whole loop: documents, dataset, stages, gates, evaluation, report."""

    rounds: PositiveInt = 1
    """After the first, the model that the round before extended writes the examples; the stages start from the original
    model again. Each has a folder of its own in the run: round2, round3 …"""
    later_rounds: dict[str, Any] = {}
    """Dotted setting → its value in all rounds after the first, e.g. {generator.max_model_tokens: 131072}."""
    gate: GateConfig = GateConfig()
