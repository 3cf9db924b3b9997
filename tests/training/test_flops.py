# ruff: noqa: E501


import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from app.machine import peak_flops_of
from app.models.shape import shape_of
from app.training.flops import flops_of_sequence, mfu
from tests.models.known_models import LLAMA_1B, LLAMA_8B, QWEN3_30B_A3B, TINY, configuration

MILLION = 1_048_576


@pytest.mark.parametrize(("model", "expected"), [(LLAMA_8B, 9.1e17), (LLAMA_1B, 2.2e17)])
def test_a_million_tokens_cost_what_the_method_says(model, expected):
    shape = shape_of(configuration(model))
    assert flops_of_sequence(shape, [0, MILLION]) == pytest.approx(expected, rel=0.02)


def test_most_of_a_million_tokens_is_attention():
    shape = shape_of(configuration(LLAMA_8B))
    in_documents = flops_of_sequence(shape, range(0, MILLION + 1, 1024))
    assert in_documents / flops_of_sequence(shape, [0, MILLION]) == pytest.approx(0.05, abs=0.005)


@pytest.mark.parametrize("tied", [True, False])
def test_the_formula_counts_what_torch_counts(tied):
    from transformers import AutoModelForCausalLM

    config = configuration(TINY, tie_word_embeddings=tied)
    config._attn_implementation = "eager"
    decoder = AutoModelForCausalLM.from_config(config)
    num_tokens = 64
    with FlopCounterMode(display=False) as counter:
        tokens = torch.randint(0, 96, (1, num_tokens))
        decoder(input_ids=tokens, use_cache=False).logits.sum().backward()
    shape = shape_of(config)
    norms = sum(p.numel() for name, p in decoder.named_parameters() if "norm" in name)
    # Torch's attention computes the whole square, of which causal attention needs half.
    squares = 6 * num_tokens**2 * 4 * 8 * 2
    found = flops_of_sequence(shape, [0, num_tokens]) - 6 * norms * num_tokens + squares
    # RoPE's angles are a product too.
    assert counter.get_total_flops() == pytest.approx(found, rel=0.002)


def test_experts_that_a_token_does_not_meet_cost_nothing():
    shape = shape_of(configuration(QWEN3_30B_A3B))
    active = shape.num_active_parameters - shape.num_embedding_parameters
    assert flops_of_sequence(shape, range(1001)) == pytest.approx(6 * 1000 * active, rel=0.01)


def test_a_sliding_window_bounds_what_a_layer_sees():
    config = configuration(TINY, model_type="mistral", sliding_window=10)
    free = shape_of(configuration(TINY, model_type="mistral", sliding_window=None))
    whole, windowed = (flops_of_sequence(shape, [0, 200]) for shape in (free, shape_of(config)))
    assert whole - windowed == pytest.approx(6 * (200**2 - 2 * 200 * 10) * 4 * 8 * 2)
    # A document within its window is seen whole.
    assert flops_of_sequence(shape_of(config), [0, 5]) == flops_of_sequence(free, [0, 5])


def test_documents_do_not_see_each_other():
    shape = shape_of(configuration(TINY))
    whole, halves = flops_of_sequence(shape, [0, 200]), flops_of_sequence(shape, [0, 100, 200])
    assert whole - halves == pytest.approx(6 * (200**2 - 2 * 100**2) * 4 * 8 * 2)


@pytest.mark.parametrize("name", ["NVIDIA RTX A1000", "NVIDIA H20", "NVIDIA L40", "NVIDIA H100 80GB HBM3 MIG 1g.10gb", "cpu"])  # fmt: skip
def test_an_unknown_device_has_no_mfu(name):
    assert peak_flops_of(name) is None
    assert mfu(1e15, 1.0, 1, peak_flops_of(name)) is None


def test_mfu_is_the_share_of_all_devices():
    # The method's point: 8B at a million tokens, 8 H100 at 40%: 288 s a step.
    assert mfu(9.1e17, 288, 8, 989e12) == pytest.approx(0.4, rel=0.01)
