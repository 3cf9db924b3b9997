import json

import pytest

from tests.training.parallel.parity_cases import CASES, Case
from tests.training.torchrun import TIMEOUT_SEC, torchrun

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Errors of all cases of a kind and a number of processes; one torchrun for them: it imports for seconds."""
    cache = {}

    def errors(num_processes, kind):
        if (num_processes, kind) not in cache:
            path = tmp_path_factory.mktemp("parity") / "errors.json"
            done = torchrun(num_processes, "tests.training.parallel.parity_worker", str(path), kind)
            assert done.returncode == 0, done.stderr[-4000:]
            cache[num_processes, kind] = json.loads(path.read_text())
        return cache[num_processes, kind]

    return errors


@pytest.mark.slow
@pytest.mark.timeout(TIMEOUT_SEC + 60)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_loss_and_gradients_are_those_of_one_process(found, case: Case):
    errors = found(case.num_processes, case.kind)[case.name]
    assert errors["loss"] <= TOLERANCE
    assert errors["norm"] <= TOLERANCE
    assert errors["gradient"] <= TOLERANCE, errors["worst"]
