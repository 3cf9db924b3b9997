"""Every step of the GPU kit on a CPU with tiny shapes, where the packages that a bare machine lacks are missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu_kit.records import read_records
from benchmarks.gpu_kit.steps import STEPS

ROOT = Path(__file__).parents[2]
TIMEOUT_SEC = 900
WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"ray", "vllm", "openai", "faiss", "datasets", "lm_eval", "xxhash"}:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Missing())
"""


@pytest.mark.timeout(TIMEOUT_SEC)
def test_every_step_runs_on_a_bare_machine(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(WITHOUT)
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu_kit", "--out", str(out), "--rehearse", "--budget-sec", "800"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SEC - 20,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    records = read_records(out / "records.jsonl")
    bad = [record for record in records if record.status not in ("measured", "skipped")]
    assert not bad, (bad, (out / "kit.log").read_text()[-3000:])
    assert {record.step for record in records} == {step.name for step in STEPS}
