"""docs/cluster.md and docs/grafana.json against the code. Links, settings and commands: tests/test_docs.py."""

import ast
import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "cluster.md").read_text()
DASHBOARD = json.loads((ROOT / "docs" / "grafana.json").read_text())


def exported_metrics() -> set[str]:
    """Names under which Ray exports our metrics: with its prefix, counters with their suffix."""
    tree = ast.parse((ROOT / "app" / "progress" / "actor.py").read_text())
    calls = [
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    suffixes = {"_gauge": "", "_counter": "_total"}
    return {
        f"ray_{call.args[0].value}{suffixes[call.func.id]}"
        for call in calls
        if call.func.id in suffixes and isinstance(call.args[0], ast.Constant)
    }


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
