import pytest

from app.config import NodeConfig
from app.planning.machines import Device, Machines
from app.planning.steps import Plan, PlannedStep
from app.progress.attempts import Attempt
from app.report.comparison import compare_steps, total

NODE = NodeConfig(num_gpus=8, price_per_hour=36.0)


def machines(node_type="train_gpu", num_nodes=2):
    return Machines(node_type, Device(1.0, 1.0, 1.0, is_gpu=True), 8 * num_nodes, num_nodes, NODE)


def planned(name, seconds, **changes):
    return PlannedStep(name, "work", machines(**changes), seconds)


PLAN = Plan(
    "plan",
    [
        planned("corpus", 10.0, node_type="cpu"),
        planned("index", 20.0),
        planned("synthesize", 100.0),
        planned("train 256k", 1000.0),
        planned("train 512k", 2000.0),
        planned("evaluate base", 50.0),
        planned("evaluate 256k", 70.0),
        PlannedStep("head", "all the time", other_money=3.0),
    ],
)


def attempts(*steps):
    return [
        Attempt(step, 1e4 * place, 1e4 * place + sec, 60.0, "done") for place, (step, sec) in enumerate(steps)
    ]


def times(steps):
    return {step.name: (step.planned_sec, step.measured_sec) for step in steps}


def test_a_bootstraps_steps_stand_beside_the_planned_ones():
    made = attempts(
        ("corpus", 12.0),
        ("index", 25.0),
        ("synthesize", 40.0),
        ("synthesize", 90.0),
        ("train 256k", 900.0),
        ("gate 256k", 30.0),
        ("train 512k", 5.0),
        ("evaluate", 60.0),
    )
    found = compare_steps(PLAN, made)
    assert list(times(found).items()) == [
        ("corpus", (10.0, 12.0)),
        ("index", (20.0, 25.0)),
        ("synthesize", (100.0, 130.0)),
        ("train 256k", (1000.0, 900.0)),
        ("gate 256k", (None, 30.0)),
        ("train 512k", (2000.0, 5.0)),
        ("evaluate", (120.0, 60.0)),
    ]
    assert found[2].num_attempts == 2


def test_a_verb_alone_stands_beside_all_that_it_did():
    assert times(compare_steps(PLAN, attempts(("synthesize", 200.0), ("train", 2500.0)))) == {
        "synthesize": (130.0, 200.0),
        "train": (3000.0, 2500.0),
        "evaluate base": (50.0, None),
        "evaluate 256k": (70.0, None),
    }
    found = times(compare_steps(PLAN, attempts(("index", 50.0), ("synthesize", 200.0))))
    assert found["index"] == (30.0, 50.0)
    assert found["synthesize"] == (100.0, 200.0)


def test_documents_of_another_run_are_not_on_the_bill():
    found = times(compare_steps(PLAN, attempts(("synthesize", 200.0)), has_own_documents=False))
    assert found["synthesize"] == (100.0, 200.0)
    assert not {"corpus", "index"} & found.keys()


def test_money_is_the_measured_time_of_the_planned_machines():
    found = {step.name: step for step in compare_steps(PLAN, attempts(("index", 10.0), ("train", 3600.0)))}
    # Two nodes for an hour.
    assert found["train"].measured_money == pytest.approx(72.0)
    assert found["train"].planned_money == pytest.approx(72.0 * 3000 / 3600)
    # Corpus and index run on different machines.
    assert found["index"].measured_money is None
    assert found["evaluate base"].measured_money is None
    endpoint = compare_steps(PLAN, attempts(("synthesize", 10.0)), endpoint_money=1.5)
    assert endpoint[0].measured_money == 1.5


def test_without_a_plan_there_is_the_time_and_short_steps_are_left_out():
    found = compare_steps(None, attempts(("train 256k", 5.0), ("report", 0.1)))
    assert times(found) == {"train 256k": (None, 5.0)}
    assert found[0].measured_money is None
    assert compare_steps(None, []) == []


def test_a_sum_of_fewer_is_none():
    assert total([1.0, 2.0]) == 3.0
    assert total([1.0, None]) is None
    assert total([]) is None
