import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.parity_cases import CASES, Case

ROOT = Path(__file__).parents[2]
TOLERANCE = 1e-5
TIMEOUT_SEC = 240


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Errors of all cases of a number of processes; one torchrun for all of them: it imports for seconds."""
    cache = {}

    def errors(num_processes):
        if num_processes not in cache:
            path = tmp_path_factory.mktemp("parity") / "errors.json"
            run_torchrun(num_processes, "tests.training.parity_worker", str(path))
            cache[num_processes] = json.loads(path.read_text())
        return cache[num_processes]

    return errors


def run_torchrun(num_processes, module, *arguments):
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc-per-node={num_processes}",
    ]
    environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    # One process that raises leaves the others waiting: the timeout ends them all.
    done = subprocess.run(
        [*command, "-m", module, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SEC,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.timeout(TIMEOUT_SEC + 30)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_loss_and_gradients_are_those_of_one_process(found, case: Case):
    errors = found(case.num_processes)[case.name]
    assert errors["loss"] <= TOLERANCE
    assert errors["gradient"] <= TOLERANCE, errors["worst"]
