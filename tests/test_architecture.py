"""The rules that keep the design: imports go one way, Ray is at the rim, the environment in the settings."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LINE = (
    "schema",
    "corpus",
    "retrieval",
    "indexing",
    "agent",
    "dataset",
    "training",
    "serving",
    "planning",
    "report",
    "bootstrap",
)
"""Each imports from those before it, never from those behind."""
GROUND = ("config", "schema", "storage", "tokens", "models", "run", "recipe", "bundled", "versions")
"""What all of the line stands on imports nothing of the line."""
RIM = (
    "app.bootstrap.chain",
    "app.cluster",
    "app.dataset.agent_actor",
    "app.dataset.pipeline",
    "app.indexing",
    "app.progress_actor",
    "app.retrieval.actors",
    "app.serving.application",
    "app.serving.ingress",
    "app.serving.replica",
    "app.serving.server",
    "app.submission",
    "app.training.preparation",
    "app.training.stages",
    "ray_jobs",
)
"""Where Ray may be imported."""
ENTRANCE = ("app.cli", "app.jobs")
"""May import the rim, once it is needed."""
LOOP = ("app.bootstrap",)
"""The chain of all jobs questions what it made."""
ENVIRONMENT = ("app.config",)


def modules() -> Iterator[tuple[str, ast.Module]]:
    for folder in ("app", "eval", "ray_jobs"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts).removesuffix(".__init__"), ast.parse(path.read_text("utf-8"))


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


def room(name: str) -> str:
    """`corpus` of `app.corpus.reader`."""
    return [*name.split("."), ""][1] if name.startswith("app.") else ""


def faults(name: str, tree: ast.Module) -> list[str]:
    """What a module does against the rules."""
    found = []
    for imported in imports(tree):
        here, there = room(name), room(imported)
        if here in LINE and there in LINE and LINE.index(there) > LINE.index(here):
            found.append(f"{name} imports {imported}, which comes behind it")
        if here in GROUND and there in LINE and there != here and there not in GROUND:
            found.append(f"{name} imports {imported}, which stands on it")
        if is_in(imported, ("eval",)) and not is_in(name, ("eval", *ENTRANCE, *LOOP)):
            found.append(f"{name} imports {imported}; what is made does not know who will question it")
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
    named = dict(modules())
    assert len(named) > 20
    assert [fault for name, tree in named.items() for fault in faults(name, tree)] == []


@pytest.mark.parametrize("entrance", ENTRANCE)
def test_the_entrance_imports_the_rim_only_when_it_is_needed(entrance):
    top = [node for node in dict(modules())[entrance].body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = list(imports(ast.Module(body=list(top), type_ignores=[])))
    assert names
    assert not [name for name in names if is_in(name, RIM)]


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("app.corpus.reader", "from app.retrieval.index import search"),
        ("app.agent.workflow", "def run():\n    from app.dataset import seeds"),
        ("app.schema", "import app.corpus.reader"),
        ("app.storage", "from app.corpus import reader"),
        ("app.agent.llm", "import ray"),
        ("app.retrieval.index", "def run():\n    from ray.data import Dataset"),
        ("app.agent.workflow", "from app.progress_actor import ProgressSender"),
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
        ("app.dataset.pipeline", "import ray\nfrom app.progress_actor import watch"),
        ("app.indexing.corpus_pipeline", "import ray.data\nfrom app.corpus.reader import read_file"),
        ("app.jobs", "def run():\n    from app.cluster import connect"),
        ("app.agent.llm", "import rayon"),
        ("eval.niah", "from app.tokens import Tokenizer"),
    ],
)
def test_the_rules_allow_what_the_design_does(name, source):
    assert faults(name, ast.parse(source)) == []
