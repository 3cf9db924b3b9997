import time

from app.models.shape import shape_of
from tests.models.known_models import LLAMA_1B, LLAMA_8B, LLAMA_70B, TINY, configuration


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


def test_a_large_model_is_measured_without_its_weights():
    began = time.process_time()
    assert shape_of(configuration(LLAMA_70B)).num_parameters == 70_553_706_496
    assert time.process_time() - began < 20


def test_measuring_leaves_the_configuration_alone():
    config = configuration(TINY)
    before = config.to_dict()
    shape_of(config)
    assert config.to_dict() == before
