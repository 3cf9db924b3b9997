"""The bill: sums, prices, and empty cells for what nobody measured."""

import re
from dataclasses import replace
from html import unescape

import pytest

from app.config import NodeConfig
from app.planning.machines import Device, Machines
from app.planning.plan import make_plan
from app.planning.steps import Plan, PlannedStep
from app.progress.attempts import Attempt
from app.report.comparison import compare_steps
from app.report.cost import bill, endpoint_money, head_money, render_cost, total_money
from app.report.reading import RunFacts, read_facts
from tests.report.report_runs import make_run

ENDPOINT = {
    "generator": {
        "type": "openai",
        "model": "writer",
        "base_url": "http://host/v1",
        "tokenizer": "meta-llama/Llama-3.2-1B-Instruct",
    },
    "train": None,
    "serve": None,
    "evaluate": None,
}


@pytest.fixture(scope="module")
def facts_of(tmp_path_factory):
    config, run = make_run(tmp_path_factory.mktemp("run"))
    return config, read_facts(config, run), make_plan(config)


def rows_of(html, caption):
    """First cell → the others' text, of the table with that caption."""
    found = next(part for part in html.split("<table>") if f"<span>{caption}" in part)
    rows = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', found)
    return {unescape(name): re.findall(r"<td[^>]*>(.*?)</td>", cells) for name, cells in rows}


def test_planned_and_measured_stand_side_by_side(facts_of):
    config, facts, plan = facts_of
    html = render_cost(config, facts, plan)
    steps = rows_of(html, "Wall time by step")
    assert steps["synthesize"][0] == "2"
    assert steps["synthesize"][2] == "50m 00s"
    # An hour of one machine of 8 GPUs.
    assert steps["train 256k"][2] == "1h 00m"
    assert steps["train 256k"][5] == "36"
    # Not planned, and so without a price; planned, and not measured.
    assert steps["gate 256k"] == ["1", "", "5m 00s", "", "", ""]
    assert steps["evaluate base"][0] == steps["evaluate base"][2] == ""
    assert steps["evaluate base"][1] != ""
    calls = rows_of(html, "Calls of the generator")
    assert calls["answer"][1::2] == ["13", "52,000", "5,200"]
    assert calls["all"][1] == "33"
    assert calls["all"][-1] == "900"
    assert calls["summary"][1] == ""
    training = rows_of(html, "Training, memory")
    assert training["512k"][:2] == ["2,097,152", "524,288"]
    assert training["512k"][3] == "55.9 GiB"


def test_storage_is_what_the_folders_hold(facts_of):
    config, facts, plan = facts_of
    facts = replace(facts, num_bytes={"corpus": 2_000_000, "train/_tokens": 500_000, "train/256k": 1_500_000})
    storage = rows_of(render_cost(config, facts, plan), "Storage")
    assert storage["corpus"][1] == storage["train/_tokens and train/256k"][1] == "2.0 MB"
    assert storage["train/512k"][1] == ""
    assert storage["all"][1] == "4.0 MB"


def test_nothing_is_invented_where_there_is_no_plan_and_no_start(facts_of):
    config, facts, _ = facts_of
    html = render_cost(config, replace(facts, attempts=[]), "models are out of <reach>")
    assert "models are out of &lt;reach&gt;" in html
    assert "Wall time by step" not in html
    assert "What the plan counts with" not in html
    assert rows_of(html, "Training, memory")["256k"] == ["1,048,576", "1,048,576", "", "55.9 GiB", ""]


def test_an_endpoints_tokens_have_the_settings_price(tmp_path):
    prices = {"price_per_million_prompt_tokens": 2.0, "price_per_million_output_tokens": 10.0}
    config, run = make_run(tmp_path, **ENDPOINT, plan=prices)
    facts = read_facts(config, run)
    # 60,000 tokens in and 6,300 out.
    assert endpoint_money(config, facts) == pytest.approx(0.12 + 0.063)
    assert endpoint_money(config, replace(facts, statistics=None)) is None
    steps = {step.name: step for step in bill(config, facts, make_plan(config))}
    assert steps["synthesize"].measured_money == pytest.approx(0.183)
    unpriced = config.model_copy(
        update={"plan": config.plan.model_copy(update={"price_per_million_output_tokens": None})}
    )
    assert endpoint_money(unpriced, facts) is None


def test_the_head_costs_all_the_time():
    node = NodeConfig(num_gpus=8, price_per_hour=36.0)
    machines = Machines("train_gpu", Device(1.0, 1.0, 1.0, is_gpu=True), 8, 1, node)
    free = Machines("cpu", machines.device, 1, 1, NodeConfig())
    plan = Plan(
        "plan",
        [
            PlannedStep("corpus", "w", free, 100.0),
            PlannedStep("train a", "w", machines, 900.0),
            PlannedStep("head", "all the time", other_money=1.0),
        ],
    )
    steps = compare_steps(
        plan, [Attempt("corpus", 0.0, 200.0, 60.0), Attempt("train a", 300.0, 2100.0, 60.0)]
    )
    assert head_money(steps, plan) == (1.0, pytest.approx(2.0))
    # Half an hour of the machine; the other one has no price.
    assert total_money(steps, plan) == pytest.approx(18.0 + 2.0)
    assert head_money([], plan) == (1.0, None)


def test_steps_of_different_machines_have_no_sum_of_money():
    node = NodeConfig(price_per_hour=1.0)
    one, two = (Machines("cpu", Device(1.0, 1.0, 1.0, is_gpu=False), 1, number, node) for number in (1, 2))
    plan = Plan("plan", [PlannedStep("corpus", "w", one, 1.0), PlannedStep("index", "w", two, 1.0)])
    steps = compare_steps(plan, [Attempt("index", 0.0, 100.0, 60.0)])
    assert total_money(steps, plan) is None


def test_a_killed_start_is_told_from_one_that_works(facts_of):
    config, _, _ = facts_of
    starts = [
        Attempt("index", 0.0, 100.0, 60.0),
        Attempt("synthesize", 200.0, 990.0, 60.0),
        Attempt("x", 1.0, 2.0, 60.0, "failed"),
    ]
    facts = RunFacts("run", "runs/run", 1000.0, attempts=starts)
    html = render_cost(config, facts, "none")
    assert re.findall(r"<td>(killed|running|failed)</td>", html) == ["killed", "running", "failed"]
