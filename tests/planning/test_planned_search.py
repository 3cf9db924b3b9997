"""The cost of the search for a stage's RoPE."""

import pytest

from app.planning.machines import Cluster
from app.planning.plan import make_plan
from app.planning.probing import plan_search
from app.probing.candidates import MOST_CANDIDATES
from app.recipe import load_config
from app.training.flops import flops_of_sequence
from benchmarks.published import LLAMA_8B, known_shape


def search_of(*overrides):
    config = load_config("llama3_8b_1m", overrides)
    stage = config.train.stages[0]
    machines = Cluster(config.plan).gpus("train_gpu", config.train.num_workers)
    step = plan_search(config, stage, known_shape(LLAMA_8B), machines)
    return config, stage, machines, step


def test_each_candidate_costs_a_forward_pass_a_haystack():
    config, stage, machines, step = search_of()
    forward = flops_of_sequence(known_shape(LLAMA_8B), [0, stage.max_seq_tokens]) / 3
    assert step.flops == pytest.approx(MOST_CANDIDATES * config.probe.num_haystacks * forward)
    # All candidates are read at once by as many workers.
    assert machines.num_devices >= MOST_CANDIDATES
    device = machines.device.peak_flops * config.plan.prefill_share
    assert step.seconds == pytest.approx(config.probe.num_haystacks * forward / device)
    _, _, _, more = search_of("--probe.num_haystacks", "6")
    assert more.seconds == pytest.approx(3 * step.seconds)


def test_only_a_stage_that_searches_has_the_step():
    assert not any(step.name.startswith("RoPE") for step in make_plan(load_config("laptop")).steps)
    searching = load_config("laptop", ["--train.stages.0.rope_theta", "search"])
    names = [step.name for step in make_plan(searching).steps]
    assert names.index("RoPE of 10k") == names.index("train 10k") - 1
