"""The tests under tests/gpu."""

import re
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from benchmarks.gpu_kit.box import Box
from benchmarks.record import ROOT


def measure(box: Box) -> None:
    """See the module."""
    box.measure("tests/gpu", _run)


def _run() -> Mapping[str, Any]:
    done = subprocess.run(
        # Without the conftest above: it needs packages that the kit does without.
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--confcutdir=tests/gpu",
            "tests/gpu",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout, done.stderr, sep="\n", flush=True)
    counts = {
        what: int(number) for number, what in re.findall(r"(\d+) (passed|failed|skipped|error)", done.stdout)
    }
    if done.returncode or not counts:
        raise RuntimeError(f"pytest ended with {done.returncode}: {done.stdout.strip().splitlines()[-1:]}")
    return counts
