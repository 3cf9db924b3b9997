"""The report's section on gates: the scores of each stage before the next one started."""

from app.config import GateConfig
from app.html import Content, Html, decimal_cell, element, missing, section, table
from app.records.gate import GateRecord
from app.report.reading import RunFacts

TITLE = "What each stage reached"


def render_gates(gate: GateConfig, facts: RunFacts) -> Html:
    """Scores and thresholds, stage by stage.

    Args:
        gate: The thresholds.
        facts: Facts of the run.
    """
    if not facts.gates:
        return section("gates", TITLE, missing("No stage has been questioned at its gate."))
    rows = [_row(stage, measured, gate) for stage, measured in facts.gates.items()]
    heads = [
        "needles asked at, tokens",
        "found",
        "at least",
        "short tasks, before",
        "after",
        "points lost",
        "at most",
    ]
    return section("gates", TITLE, table("Gates, in percent", ["stage", "gate"], heads, rows))


def is_passed(measured: GateRecord, gate: GateConfig) -> bool | None:
    """Whether a stage reached every threshold; None where there is none, or what it is for was not measured."""
    found = list(measured.verdicts(gate).values())
    if False in found:
        return False
    return None if None in found or not found else True


def _row(stage: str, measured: GateRecord, gate: GateConfig) -> list[Content]:
    niah, short = measured.niah, measured.short
    return [
        stage,
        _verdict(is_passed(measured, gate)),
        niah.length_tokens if niah else None,
        decimal_cell(measured.needles_found, ".1f"),
        decimal_cell(gate.min_niah_percent, "g"),
        decimal_cell(short.base_percent if short else None, ".1f"),
        decimal_cell(short.percent if short else None, ".1f"),
        decimal_cell(measured.points_lost, ".1f"),
        decimal_cell(gate.max_short_points_lost, "g"),
    ]


def _verdict(passed: bool | None) -> Html | None:
    if passed is None:
        return None
    return element("span", "passed" if passed else "not passed", class_="good" if passed else "bad")
