"""docs/cluster.md and docs/grafana.json against the code: files, settings and metrics that they name exist."""

import ast
import json
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from app.cli import parse_command
from app.config import Config, OpenAiConfig, VllmConfig

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "cluster.md").read_text()
DASHBOARD = json.loads((ROOT / "docs" / "grafana.json").read_text())
SECTIONS = (
    "run_dir",
    "corpus",
    "retrieval",
    "generator",
    "agent",
    "dataset",
    "pipeline",
    "train",
    "progress",
    "ray",
)


def exported_metrics() -> set[str]:
    """Names under which Ray exports our metrics: with its prefix, counters with their suffix."""
    tree = ast.parse((ROOT / "app" / "progress_actor.py").read_text())
    calls = [
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    suffixes = {"_gauge": "", "_counter": "_total"}
    return {
        f"ray_{call.args[0].value}{suffixes[call.func.id]}"
        for call in calls
        if call.func.id in suffixes and isinstance(call.args[0], ast.Constant)
    }


def sections_of(model: type[BaseModel], name: str) -> list[type[BaseModel]]:
    """Models that a field's value may be."""
    if name == "generator":
        return [VllmConfig, OpenAiConfig]
    annotation = model.model_fields[name].annotation
    choices = [annotation, *getattr(annotation, "__args__", ())]
    return [choice for choice in choices if isinstance(choice, type) and issubclass(choice, BaseModel)]


def is_setting(name: str) -> bool:
    models: list[type[BaseModel]] = [Config]
    *sections, field = name.split(".")
    for section in sections:
        models = [
            found
            for model in models
            if section in model.model_fields
            for found in sections_of(model, section)
        ]
    return any(field in model.model_fields for model in models)


def test_every_link_leads_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", GUIDE)
    assert links
    for link in links:
        assert (ROOT / "docs" / link).exists(), link
    for path in re.findall(r"ray_jobs/[a-z_/.0-9-]+\.(?:yaml|Dockerfile)", GUIDE):
        assert (ROOT / path).exists() or path.endswith("/mine.yaml"), path


def test_every_setting_is_one():
    pattern = rf"`(?:--)?((?:{'|'.join(SECTIONS)})\.[a-z_.]+)"
    settings = set(re.findall(pattern, GUIDE))
    assert len(settings) > 15
    assert [name for name in sorted(settings) if not is_setting(name)] == []


@pytest.mark.parametrize("line", re.findall(r"^    (longstrap .*)$", GUIDE, re.MULTILINE))
def test_every_command_is_one(line):
    command = parse_command(line.split()[1:])
    assert command.recipe == "mine.yaml"
    assert all(is_setting(name.removeprefix("--")) for name in command.overrides[::2])


def test_every_metric_is_exported():
    exported = exported_metrics()
    assert len(exported) == 9
    written = GUIDE.replace("`…_", "`ray_longstrap_")
    told = set(re.findall(r"ray_longstrap_[a-z_]+", written))
    shown = set(re.findall(r"ray_longstrap_[a-z_]+", json.dumps(DASHBOARD)))
    assert told == exported
    assert shown == exported


def test_dashboards_panels_do_not_overlap():
    places = [tuple(panel["gridPos"].values()) for panel in DASHBOARD["panels"]]
    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(places)
