"""Names of vLLM's arguments, known without importing it: that takes many seconds."""

import ast
import difflib
import importlib.util
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from app.faults import UserError

ARGUMENTS_FILE = "engine/arg_utils.py"
CLASSES = ("EngineArgs", "AsyncEngineArgs")


def check_engine_args(field: str, names: Iterable[str]) -> None:
    """Refuse an argument that the installed vLLM does not have; where none is installed, nothing is known.

    Args:
        field: The setting that holds them.
        names: Of the arguments.

    Raises:
        UserError: names the first such argument, and the nearest one that there is.
    """
    known = known_engine_args()
    for name in names:
        if known and name not in known:
            near = difflib.get_close_matches(name, sorted(known), 1)
            advice = f"did you mean {near[0]}?" if near else "see vllm.AsyncEngineArgs"
            raise UserError(f"{field}: vLLM has no argument {name!r}; {advice}")


@cache
def known_engine_args() -> frozenset[str]:
    """Fields of `vllm.AsyncEngineArgs`; none without a vLLM."""
    package = importlib.util.find_spec("vllm")
    if package is None or package.origin is None:
        return frozenset()
    tree = ast.parse((Path(package.origin).parent / ARGUMENTS_FILE).read_text("utf-8"))
    return frozenset(
        field.target.id
        for each in tree.body
        if isinstance(each, ast.ClassDef) and each.name in CLASSES
        for field in each.body
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
    )
