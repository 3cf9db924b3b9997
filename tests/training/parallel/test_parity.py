import json

import pytest

from tests.training.parallel.parity_cases import CASES, Case
from tests.training.ranks import TIMEOUT_SEC, run_ranks

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Errors of all cases of a kind and a number of processes; one run of the processes for them."""
    runs = {}

    def errors(num_processes, kind):
        if (num_processes, kind) not in runs:
            path = tmp_path_factory.mktemp("parity") / "errors.json"
            ended = run_ranks(num_processes, "tests.training.parallel.parity_worker", str(path), kind)
            runs[num_processes, kind] = path, ended
        path, ended = runs[num_processes, kind]
        assert not any(ended.exit_codes), ended.output[-4000:]
        return json.loads(path.read_text())

    return errors


@pytest.mark.slow
@pytest.mark.timeout(TIMEOUT_SEC + 60)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_loss_and_gradients_are_those_of_one_process(found, case: Case):
    errors = found(case.num_processes, case.kind)[case.name]
    assert errors["loss"] <= TOLERANCE
    assert errors["norm"] <= TOLERANCE
    assert errors["gradient"] <= TOLERANCE, errors["worst"]
