from dataclasses import replace

import pytest

from app.config import PlanConfig
from app.planning.calls import StepCalls
from app.planning.generation import Engine, prompt_flops, time_generation
from app.planning.machines import Cluster
from benchmarks.published import LLAMA_8B, known_shape


@pytest.fixture(scope="module")
def engine():
    shape = known_shape(LLAMA_8B)
    device = Cluster(PlanConfig()).gpus("generate_gpu", 1).device
    return Engine(shape, device, 1, 2.0 * shape.num_parameters, 131_072.0, 50e9, 256, 0.5, 0.5)


def calls(num_calls=1000, prompt=1000, output=100):
    return [StepCalls("summary", num_calls, num_calls * prompt, num_calls * output)]


def test_prompts_take_two_operations_a_parameter_and_replies_the_weights_traffic(engine):
    found = time_generation(engine, calls(num_calls=1, output=1))
    multiplied = 8_030_261_248 - 128_256 * 4096
    attention = 2 * 1000**2 * 4096 * 32
    assert found.prefill_sec == pytest.approx((2 * multiplied * 1000 + attention) / (0.5 * 989e12))
    # One reply alone: weights, and the cache of a thousand tokens.
    assert found.decode_sec == pytest.approx((2 * 8_030_261_248 + 1000.5 * 131_072) / (0.5 * 3.35e12))


def test_many_at_once_share_the_weights_until_the_cache_is_full(engine):
    alone = time_generation(replace(engine, max_concurrent=1), calls())
    together = time_generation(engine, calls())
    assert alone.num_concurrent == 1
    assert together.num_concurrent == 256
    assert together.decode_sec < alone.decode_sec / 40
    full = time_generation(replace(engine, kv_room_bytes=10 * 1050 * 131_072), calls())
    assert full.num_concurrent == pytest.approx(10)
    assert alone.prefill_sec == together.prefill_sec


def test_long_prompts_cost_more_than_their_tokens(engine):
    assert prompt_flops(engine.shape, 100_000) > 20 * prompt_flops(engine.shape, 10_000)


def test_replies_are_bound_by_operations_where_the_batch_is_large(engine):
    short = time_generation(replace(engine, max_concurrent=100_000), calls(100_000, prompt=1, output=10))
    multiplied = 8_030_261_248 - 128_256 * 4096
    assert short.decode_sec == pytest.approx(100_000 * 10 * 2 * multiplied / (0.5 * 989e12))
