import time

import pytest

from app.models.shape import shape_of
from tests.models.known_models import LLAMA_1B, LLAMA_8B, LLAMA_70B, QWEN3_30B_A3B, TINY, configuration


def test_sizes_are_those_that_are_published():
    shape = shape_of(configuration(LLAMA_8B))
    assert shape.num_parameters == 8_030_261_248
    assert shape.num_embedding_parameters == 128256 * 4096
    assert shape.num_layer_parameters == 218_112_000
    assert (shape.num_heads, shape.num_kv_heads, shape.head_dim) == (32, 8, 128)
    tied = shape_of(configuration(LLAMA_1B))
    assert tied.num_parameters == 1_235_814_400
    assert tied.num_embedding_parameters == 0
    assert tied.head_dim == 64


def test_of_a_mixture_of_experts_a_token_meets_a_part():
    shape = shape_of(configuration(QWEN3_30B_A3B))
    assert shape.num_parameters == 30_532_122_624
    assert shape.num_active_parameters == pytest.approx(3.35e9, rel=0.01)
    assert shape.num_layer_parameters == pytest.approx(623e6, rel=0.01)
    assert shape.num_active_layer_parameters == pytest.approx(57e6, rel=0.02)
    # Eight experts of 768; the router is the little that is more.
    assert shape.intermediate_size == pytest.approx(8 * 768, abs=50)


def test_a_token_of_another_model_meets_all_of_it():
    shape = shape_of(configuration(LLAMA_8B))
    assert shape.num_active_parameters == shape.num_parameters
    assert shape.num_active_layer_parameters == shape.num_layer_parameters
    assert shape.intermediate_size == 14336


def test_a_large_model_is_measured_without_its_weights():
    began = time.process_time()
    assert shape_of(configuration(LLAMA_70B)).num_parameters == 70_553_706_496
    assert time.process_time() - began < 20


def test_measuring_leaves_the_configuration_alone():
    config = configuration(TINY)
    before = config.to_dict()
    shape_of(config)
    assert config.to_dict() == before
