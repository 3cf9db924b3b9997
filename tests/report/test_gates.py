import pytest

from app.config import GateConfig
from app.report.gates import is_passed, render_gates
from app.report.reading import RunFacts
from tests.record_makers import gate_record


@pytest.mark.parametrize(
    ("measured", "thresholds", "expected"),
    [
        (gate_record(found=80.0), {"min_niah_percent": 80.0}, True),
        (gate_record(found=79.9), {"min_niah_percent": 80.0}, False),
        (gate_record(found=None), {"min_niah_percent": 80.0}, None),
        (gate_record(before=50.0, after=48.0), {"max_short_points_lost": 2.0}, True),
        (gate_record(before=50.0, after=47.9), {"max_short_points_lost": 2.0}, False),
        (gate_record(before=None), {"max_short_points_lost": 2.0}, None),
        (
            gate_record(found=10.0, before=None),
            {"min_niah_percent": 80.0, "max_short_points_lost": 2.0},
            False,
        ),
        (gate_record(), {}, None),
        (gate_record(found=None, before=None), {"min_niah_percent": 80.0}, None),
    ],
)
def test_a_gate_is_passed_when_every_threshold_is(measured, thresholds, expected):
    assert is_passed(measured, GateConfig(**thresholds)) is expected


def test_scores_that_were_not_measured_are_none():
    assert gate_record(before=50.0, after=52.5).points_lost == pytest.approx(-2.5)
    assert gate_record(before=None).points_lost is None
    assert gate_record(found=None).needles_found is None


def test_the_table_has_scores_and_thresholds():
    facts = RunFacts("run", "runs/run", 0.0, gates={"256k": gate_record(), "512k": gate_record(found=12.0)})
    text = render_gates(GateConfig(min_niah_percent=80.0, max_short_points_lost=2.0), facts)
    for part in ("256k", "91.2", "12.0", ">80<", "52.0", "50.5", ">1.5<", ">passed<", ">not passed<"):
        assert part in text
    assert "questioned" in render_gates(GateConfig(), RunFacts("run", "runs/run", 0.0))
