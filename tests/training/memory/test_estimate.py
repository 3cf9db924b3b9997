from itertools import pairwise

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from app.config import TrainMemoryConfig
from app.models.shape import shape_of
from app.training.memory.activations import save_activation_memory
from app.training.memory.estimate import estimate_memory
from app.training.model import LanguageModel, build_decoder
from app.training.parallel.attention import PackedSequence
from app.training.parallel.layout import SequenceLayout
from tests.models.known_models import LLAMA_1B, LLAMA_8B, TINY, configuration

MILLION = 1_048_576
ALONE = SequenceLayout()
FRUGAL = TrainMemoryConfig(keep_attention=False, offload_checkpoints=True, mlp_tile_tokens=2048)
AGAIN = TrainMemoryConfig(keep_attention=False)
"""Attention is computed again."""


@pytest.fixture(scope="module")
def shapes():
    return {"8B": shape_of(configuration(LLAMA_8B)), "1B": shape_of(configuration(LLAMA_1B))}


def estimate(shape, layout=ALONE, memory=FRUGAL, dtype="bfloat16", tokens=MILLION, **changes):
    return estimate_memory(shape, tokens, layout, memory, dtype, **{"num_workers": layout.size} | changes)


@pytest.mark.parametrize(
    ("model", "size", "expected"),
    [("8B", 8, 39), ("8B", 16, 23), ("8B", 32, 15), ("1B", 8, 14), ("1B", 16, 8), ("1B", 32, 6)],
)
def test_a_million_tokens_need_what_the_method_says(shapes, model, size, expected):
    found = estimate(shapes[model], SequenceLayout(1, size)).total_bytes
    assert found / 1e9 == pytest.approx(expected, abs=0.5)


def test_every_part_is_in_the_total_once(shapes):
    found = estimate(shapes["8B"], SequenceLayout(1, 8))
    assert found.attention_bytes > max(found.mlp_bytes, found.loss_bytes)
    parts = (found.state_bytes, found.working_set_bytes, found.checkpoints_bytes, found.attention_bytes)
    assert found.total_bytes == sum(parts)
    assert found.describe() == "state 15.0, working set 4.6, checkpoints 2.0, attention 15.0"


def test_each_setting_saves_where_it_should(shapes):
    shape, layout = shapes["8B"], SequenceLayout(1, 8)
    plain = estimate(shape, layout, AGAIN)
    offloaded = estimate(shape, layout, TrainMemoryConfig(keep_attention=False, offload_checkpoints=True))
    u = MILLION // 8 * 4096 * 2
    assert plain.checkpoints_bytes == 32 * u
    assert offloaded.checkpoints_bytes == 2 * u
    assert (plain.host_bytes, offloaded.host_bytes) == (0, 32 * u)
    tiled = estimate(shape, layout, TrainMemoryConfig(keep_attention=False, mlp_tile_tokens=2048))
    assert plain.mlp_bytes - tiled.mlp_bytes == 14 * (MILLION // 8 - 2048) * 14336
    smaller = estimate(shape, layout, TrainMemoryConfig(keep_attention=False, loss_chunk_tokens=512))
    assert plain.loss_bytes - smaller.loss_bytes == 10 * 128256 * (2048 - 512)
    elsewhere = estimate(shape, layout, TrainMemoryConfig(keep_attention=False, offload_optimizer=True))
    assert elsewhere.state_bytes == 0
    assert elsewhere.host_bytes == plain.state_bytes == 16 * shape.num_parameters / 8
    kept = estimate(shape, layout, TrainMemoryConfig(checkpoint_activations=False))
    assert kept.checkpoints_bytes > 20 * plain.checkpoints_bytes


def test_kept_attention_is_one_more_activation_a_layer(shapes):
    shape, layout = shapes["8B"], SequenceLayout(1, 8)
    again, kept = estimate(shape, layout, AGAIN), estimate(shape, layout, TrainMemoryConfig())
    # The output, as wide as the layer's input, and a float32 number for each of 32 heads.
    results = MILLION // 8 * (4096 * 2 + 32 * 4)
    assert kept.checkpoints_bytes - again.checkpoints_bytes == 31 * results
    assert kept.loss_bytes - again.loss_bytes == results
    assert kept.attention_bytes == again.attention_bytes
    offloaded = [
        estimate(shape, layout, TrainMemoryConfig(offload_checkpoints=True, keep_attention=keep))
        for keep in (False, True)
    ]
    assert offloaded[1].checkpoints_bytes - offloaded[0].checkpoints_bytes == results
    assert offloaded[1].host_bytes - offloaded[0].host_bytes == 32 * results
    # Without checkpoints everything is kept anyway.
    everything = [
        estimate(shape, layout, TrainMemoryConfig(checkpoint_activations=False, keep_attention=keep))
        for keep in (False, True)
    ]
    assert everything[0] == everything[1]


def test_a_host_is_not_relieved_by_moving_to_itself(shapes):
    memory = TrainMemoryConfig(offload_checkpoints=True, offload_optimizer=True)
    found = estimate(shapes["1B"], memory=memory, has_gpu=False)
    assert found == estimate(shapes["1B"], memory=TrainMemoryConfig(), has_gpu=False)
    assert found.host_bytes == 0


def test_a_short_sequence_is_no_longer_than_itself(shapes):
    memory = TrainMemoryConfig(keep_attention=False, mlp_tile_tokens=4096)
    found = estimate(shapes["1B"], tokens=100, memory=memory)
    assert found.loss_bytes == 10 * 128256 * 100 + 2 * 100 * 2048 * 2
    assert found == estimate(shapes["1B"], tokens=100, memory=AGAIN)


def test_a_ring_repeats_no_head_and_ulysses_does(shapes):
    ring = [estimate(shapes["8B"], SequenceLayout(size, 1)).attention_bytes for size in (8, 16, 32)]
    assert [a / b for a, b in pairwise(ring)] == [2, 2]
    ulysses = [estimate(shapes["8B"], SequenceLayout(1, size)).attention_bytes for size in (8, 16, 32)]
    assert all(a / b < 1.8 for a, b in pairwise(ulysses))
    # bfloat16, in units of one activation: norm 4, queries 8, keys and values 20 a quarter each.
    assert ring[0] == (4 + 8 + 20 / 4) * MILLION // 8 * 4096 * 2
    # In float32 nothing is there a second time in another precision.
    ring32 = estimate(shapes["8B"], SequenceLayout(8, 1), dtype="float32").attention_bytes
    assert ring32 == (3 + 6.5 + 14 / 4) * MILLION // 8 * 4096 * 4


def test_heads_that_do_not_divide_are_padded(shapes):
    # 9 query and 3 key heads on 2 ranks: 10 of each.
    shape = shape_of(configuration(TINY, hidden_size=72, num_attention_heads=9, num_key_value_heads=3))
    found = estimate(shape, SequenceLayout(1, 2), tokens=1000)
    assert found.attention_bytes == 500 * (72 * 8 + 2 * 8 * (9 * 10 + 8 * 10))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("tiled", [False, True])
def test_what_a_layer_keeps_is_what_autograd_keeps(dtype, tiled):
    num_tokens = 256
    kept = [saved_bytes(num_layers, num_tokens, dtype, tiled) for num_layers in (2, 3)]
    memory = TrainMemoryConfig(checkpoint_activations=False, mlp_tile_tokens=64 if tiled else None)
    # What all layers but one keep.
    shape = shape_of(configuration(TINY, num_hidden_layers=2))
    expected = estimate(shape, memory=memory, dtype=dtype, tokens=num_tokens).checkpoints_bytes
    assert kept[1] - kept[0] == pytest.approx(expected, rel=0.05)


def saved_bytes(num_layers, num_tokens, dtype, tiled):
    """Bytes of all activations that wait for the backward pass."""
    decoder = build_decoder(configuration(TINY, num_hidden_layers=num_layers), getattr(torch, dtype))
    model = LanguageModel(decoder, num_tokens)
    save_activation_memory(
        model.layers, checkpoint_layers=False, offload=False, mlp_tile_tokens=64 if tiled else None
    )
    weights = {parameter.untyped_storage().data_ptr() for parameter in decoder.parameters()}
    found = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            found[storage.data_ptr()] = storage.nbytes()
        # Held, so that no other takes its place.
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        tokens = torch.arange(num_tokens) % 96
        hidden = model.hidden_states(tokens, torch.arange(num_tokens), PackedSequence((0, num_tokens)))
    del hidden
    return sum(found.values())
