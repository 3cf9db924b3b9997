"""All suites by name, in the order in which a report has them."""

from dataclasses import replace
from typing import Any

from app.config import EvaluateConfig
from eval.report.contents import ReportContents
from eval.report.parts import Part
from eval.suite import SampledSuite, Suite
from eval.suites.aalcr import AalcrSuite
from eval.suites.babilong import BabilongSuite
from eval.suites.graphwalks import GraphWalksSuite
from eval.suites.helmet import HelmetSuite
from eval.suites.longbench import LongbenchSuite
from eval.suites.mine import MineSuite
from eval.suites.mrcr import MrcrSuite
from eval.suites.niah import NiahSuite
from eval.suites.nolima import NolimaSuite
from eval.suites.recall import RecallSuite
from eval.suites.ruler import RulerSuite
from eval.suites.ruler2 import Ruler2Suite
from eval.suites.short import ShortSuite

_ALL: tuple[Suite[Any], ...] = (
    NiahSuite(),
    RulerSuite(),
    MrcrSuite(),
    GraphWalksSuite(),
    BabilongSuite(),
    NolimaSuite(),
    LongbenchSuite(),
    HelmetSuite(),
    AalcrSuite(),
    Ruler2Suite(),
    MineSuite(),
    ShortSuite(),
    RecallSuite(),
)
SUITES = {suite.name: suite for suite in _ALL}


def sampled_suites() -> list[SampledSuite[Any]]:
    """Those whose samples are made here."""
    return [suite for suite in SUITES.values() if isinstance(suite, SampledSuite)]


def sampled_suite(name: str) -> SampledSuite[Any]:
    """The suite whose samples are made here, by name."""
    suite = SUITES[name]
    assert isinstance(suite, SampledSuite), f"{suite.name} has no samples of ours"
    return suite


def asked_suites(settings: EvaluateConfig) -> list[Suite[Any]]:
    """Those that the settings name, in their order."""
    return [SUITES[name] for name in settings.suites]


def make_parts(contents: ReportContents) -> list[Part]:
    """A part for each suite that has results."""
    parts = []
    for name, suite in SUITES.items():
        if results := contents.of(name):
            part = suite.part(contents.models, results)
            if isinstance(suite, SampledSuite):
                part = replace(
                    part, remarks=contents.remarks + part.remarks, wrong=contents.wrong.get(name, [])
                )
            parts.append(part)
    return parts
