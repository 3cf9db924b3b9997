import json
import sys
import time

import psutil
import pytest

from benchmarks.gpu_kit import running
from benchmarks.gpu_kit.records import FILE, Record, append, read_records
from benchmarks.gpu_kit.running import Kit, run_steps, take_over
from benchmarks.gpu_kit.steps import KitStep

WORKER = """
import subprocess, sys, time
from pathlib import Path
from benchmarks.gpu_kit.records import Record, append
step, file = sys.argv[4], Path(sys.argv[5])
append(file, [Record(step, "first", "measured", {})])
if step == "hangs":
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (file.parent / "child").write_text(str(child.pid))
    time.sleep(600)
"""


@pytest.fixture
def kit(tmp_path, monkeypatch):
    """A kit whose steps are done by a script in place of `python -u -m benchmarks.gpu_kit.worker`."""
    script = tmp_path / "python"
    (tmp_path / "worker.py").write_text(WORKER)
    script.write_text(f'#!/bin/sh\nexec {sys.executable} {tmp_path / "worker.py"} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setattr(running.sys, "executable", str(script))
    monkeypatch.setenv("PYTHONPATH", str(running.ROOT))
    monkeypatch.setattr(running, "LEAST_SEC", 0.5)
    out = tmp_path / "out"
    out.mkdir()
    return Kit(out, tmp_path, 60.0, 0.0, None, is_rehearsal=True)


def statuses(kit):
    return [(record.step, record.key, record.status) for record in read_records(kit.file)]


def test_a_step_that_hangs_is_ended_with_all_that_it_started_and_the_next_begins(kit):
    run_steps(kit, [KitStep("hangs", "", 12.0), KitStep("ends", "", 30.0)])
    assert statuses(kit) == [
        ("hangs", "first", "measured"),
        ("hangs", "whole step", "failed"),
        ("ends", "first", "measured"),
    ]
    child = int((kit.out / "child").read_text())
    deadline = time.monotonic() + 5
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "a process of the step is still there"
        time.sleep(0.05)


def test_the_summary_is_whole_after_each_step(kit):
    run_steps(kit, [KitStep("ends", "", 30.0)])
    summary = json.loads((kit.out / "summary.json").read_text())
    assert [record["key"] for record in summary["measured"]["records"]] == ["first"]


def test_a_second_call_goes_on_from_what_the_first_has_found(kit, tmp_path):
    done = tmp_path / "done"
    done.mkdir()
    known = Record("exact", "heads of 64", "measured", {"worst": 0.003})
    append(done / FILE, [known, Record("exact", "heads of 96", "skipped", {"reason": "no time"})])
    take_over(kit, done)
    run_steps(kit, [KitStep("ends", "", 30.0)])
    summary = json.loads((kit.out / "summary.json").read_text())
    assert summary["figures"] == {"exact_worst_error": 0.003}
    assert read_records(kit.file)[0] == known


def test_without_time_no_step_is_begun(kit):
    hurried = Kit(kit.out, kit.scratch, 0.1, 0.0, None, is_rehearsal=True)
    run_steps(hurried, [KitStep("ends", "", 30.0)])
    assert statuses(kit) == []
