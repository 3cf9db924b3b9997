import os
import subprocess
import sys
import time

import pytest

from app.faults import UserError
from benchmarks.reserved_core import reserved_core

CORES = os.sched_getaffinity(0)
WAIT = "import time; time.sleep(60)"

pytestmark = pytest.mark.skipif(len(CORES) < 2, reason="one core")


def affinity_of(pid, expected):
    deadline = time.monotonic() + 20
    while (found := os.sched_getaffinity(pid)) != expected and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def test_engines_get_the_core_and_all_others_leave_it():
    core = max(CORES)
    with reserved_core(core):
        engine, host = (
            # A process's title is its first argument.
            subprocess.Popen([title, "-c", WAIT], executable=sys.executable)
            for title in ("VLLM::Worker_TP0", "ray::AgentActor")
        )
        try:
            assert affinity_of(engine.pid, {core}) == {core}
            assert os.sched_getaffinity(host.pid) == CORES - {core}
        finally:
            for process in (engine, host):
                process.kill()
                process.wait()
    assert os.sched_getaffinity(0) == CORES


def test_no_core_reserves_nothing():
    with reserved_core(None):
        assert os.sched_getaffinity(0) == CORES


def test_a_core_that_is_not_there_is_refused():
    with pytest.raises(UserError, match="engine-core"), reserved_core(max(CORES) + 1):
        pass
