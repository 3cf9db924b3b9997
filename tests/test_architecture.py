"""The rules that keep the design: imports go one way, Ray is at the rim, the environment in the settings."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = (
    ("app.faults",),
    (
        "app.canvas",
        "app.config",
        "app.machine",
        "app.markdown",
        "app.quantities",
        "app.schema",
        "app.secrets",
        "app.storage",
        "app.text",
        "app.versions",
    ),
    ("app.checkers", "app.records"),
    (
        "app.checks",
        "app.endpoints",
        "app.html",
        "app.local_copies",
        "app.progress",
        "app.recipe",
        "app.run",
    ),
    ("app.cluster", "app.models"),
    ("app.serving", "app.submission", "app.tokens"),
    ("app.agent", "app.corpus"),
    ("app.retrieval", "eval"),
    ("app.dataset", "app.probing"),
    ("app.training",),
    ("app.planning",),
    ("app.report",),
    ("app.viewing",),
    ("app.bootstrap",),
    ("app.verbs",),
    ("app.jobs",),
    ("app.cli",),
    ("ray_jobs",),
    ("benchmarks",),
)
"""All rooms, from the ground up. A room imports from the floors below its own; a module outside of them is a fault."""
TRAINING_FLOORS = (
    ("identities",),
    ("data", "flops", "loss", "metrics", "parallel", "rope_search", "schedule"),
    ("experts",),
    ("base_weights", "batches", "memory", "model", "trackers"),
    ("architecture", "checkpoints", "step"),
    ("export", "loop", "preflight"),
    ("dry_run", "finishing"),
    ("stages",),
)
"""The same inside of `app.training`."""
RIM = (
    "app.bootstrap.chain",
    "app.cluster",
    "app.corpus.pipeline",
    "app.dataset.agent_actor",
    "app.dataset.pipeline",
    "app.probing.job",
    "app.probing.pipeline",
    "app.progress.actor",
    "app.progress.memory_pressure",
    "app.retrieval.actors",
    "app.retrieval.embedding",
    "app.retrieval.pipeline",
    "app.serving.application",
    "app.serving.ingress",
    "app.serving.ownership",
    "app.serving.replica",
    "app.serving.server",
    "app.submission",
    "app.training.data.preparation",
    "app.training.rope_search",
    "app.training.stages",
    "app.viewing.preview",
    "ray_jobs",
    "benchmarks",
)
"""Where Ray may be imported."""
ENTRANCE = ("app.cli", "app.jobs", "app.verbs")
"""May import the rim, once it is needed."""
ENVIRONMENT = ("app.config", "benchmarks")
"""Where the environment may be read."""


@cache
def modules() -> dict[str, ast.Module]:
    """All modules of ours, parsed, by their dotted names."""
    found = {}
    for folder in ("app", "eval", "ray_jobs", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = ast.parse(path.read_text("utf-8"))
    return found


def imports(tree: ast.Module) -> Iterator[str]:
    """Dotted names of all imported modules and of what is taken from them, lazy imports too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide what is imported"
            assert node.module
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_in(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def floor_of(name: str, floors: tuple[tuple[str, ...], ...]) -> int | None:
    """Number of the floor that a module's room is on; None: it has no place in the house."""
    return next((number for number, rooms in enumerate(floors) if is_in(name, rooms)), None)


def faults_against_floors(name: str, imported: str, floors: tuple[tuple[str, ...], ...]) -> Iterator[str]:
    here, there = floor_of(name, floors), floor_of(imported, floors)
    if there is None or here is None:
        return
    is_own_room = any(is_in(name, (room,)) and is_in(imported, (room,)) for room in floors[here])
    if there >= here and not is_own_room:
        yield f"{name} imports {imported}, which is not below it"


def faults(name: str, tree: ast.Module) -> list[str]:
    """What a module does against the rules."""
    found = []
    if name != "app" and floor_of(name, FLOORS) is None:
        found.append(f"{name} has no floor; give it a place in FLOORS")
    inner = name.removeprefix("app.training.") if name.startswith("app.training.") else None
    if inner and floor_of(inner, TRAINING_FLOORS) is None:
        found.append(f"{name} has no floor; give it a place in TRAINING_FLOORS")
    for imported in imports(tree):
        found.extend(faults_against_floors(name, imported, FLOORS))
        if inner and imported.startswith("app.training."):
            found.extend(
                faults_against_floors(inner, imported.removeprefix("app.training."), TRAINING_FLOORS)
            )
        if is_in(imported, ("ray",)) and not is_in(name, RIM):
            found.append(f"{name} imports {imported}, but is not at the rim")
        if is_in(imported, RIM) and not is_in(name, RIM + ENTRANCE):
            found.append(f"{name} imports {imported}, which brings Ray with it")
    if not is_in(name, ENVIRONMENT):
        # An engine is told by `os.environ.setdefault` and `.update`; that reads nothing.
        told = {
            id(node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and node.attr in ("setdefault", "update")
        }
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Attribute)
                and node.attr in ("environ", "getenv")
                and id(node) not in told
            ):
                found.append(
                    f"{name} uses os.{node.attr} in line {node.lineno}; the settings read the environment"
                )
    return sorted(set(found))


def test_the_rules_hold_everywhere():
    assert len(modules()) > 20
    assert [fault for name, tree in modules().items() for fault in faults(name, tree)] == []


@pytest.mark.parametrize(
    "entrance", [name for name, tree in modules().items() if is_in(name, ENTRANCE) and tree.body]
)
def test_the_entrance_imports_the_rim_only_when_it_is_needed(entrance):
    top = [node for node in modules()[entrance].body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = list(imports(ast.Module(body=list(top), type_ignores=[])))
    assert names
    assert not [name for name in names if is_in(name, RIM)]


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("app.corpus.reader", "from app.retrieval.index import search"),
        ("app.corpus.units", "import app.checks, app.retrieval.preflight"),
        ("app.agent.workflow", "def run():\n    from app.dataset import seeds"),
        ("app.schema", "import app.corpus.reader"),
        ("app.storage", "from app.corpus import reader"),
        ("app.somewhere", ""),
        ("app.training.somewhere", ""),
        ("app.training.parallel.ring", "from app.training.model import LanguageModel"),
        ("app.training.data.packing", "from app.training.memory.estimate import estimate_memory"),
        ("app.dataset.card", "from benchmarks.record import Record"),
        ("scripts.of_nobody", ""),
        ("app.agent.llm", "import ray"),
        ("app.retrieval.index", "def run():\n    from ray.data import Dataset"),
        ("app.agent.workflow", "from app.progress.actor import ProgressSender"),
        ("app.tokens", "import os\nos.environ['X']"),
        ("app.serving.server", "from eval.client import Client"),
        ("eval.client", "import ray"),
    ],
)
def test_the_rules_are_seen_to_break(name, source):
    assert len(faults(name, ast.parse(source))) >= 1


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("app.dataset.assembly", "from app.agent.prompts import TASKS\nfrom app.schema import Seed"),
        ("app.dataset.pipeline", "import ray\nfrom app.progress.actor import watch"),
        ("app.corpus.pipeline", "import ray.data\nfrom app.corpus.reader import read_file"),
        ("app.jobs", "def run():\n    from app.cluster.connection import connect"),
        ("app.agent.llm", "import rayon"),
        ("app.training.loop", "from app.training.data.packing import PackingPlan"),
        ("eval.niah", "from app.tokens import Tokenizer"),
    ],
)
def test_the_rules_allow_what_the_design_does(name, source):
    assert faults(name, ast.parse(source)) == []
