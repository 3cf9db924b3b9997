"""What the Makefile runs; none of it is run here."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from app.recipe import load_config

ROOT = Path(__file__).parent.parent


def command_of_demo(*variables: str) -> list[str]:
    """The demo's last command, which make would run with these variables."""
    # `make test` is a make too. What it hands down would have this one name its directory.
    own = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", "--no-print-directory", "-n", "demo", *variables],
        cwd=ROOT,
        env=own,
        capture_output=True,
        text=True,
        check=True,
    )
    return shlex.split(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_the_demo_computes_in_one_dtype_everywhere(dtype):
    _, verb, *given = command_of_demo(f"DTYPE={dtype}")
    assert (verb, given[:2]) == ("bootstrap", ["--config", "laptop.yaml"])
    config = load_config("laptop.yaml", given[2:])
    assert config.train is not None
    models = [config.generator, config.train, *config.serve.models.values()]
    assert [model.dtype for model in models] == [dtype] * 4


def test_another_recipe_keeps_its_own_dtypes():
    assert command_of_demo("RECIPE=other.yaml")[1:] == ["bootstrap", "--config", "other.yaml"]
