import pytest
import torch

from app.training.memory.activations import save_activation_memory
from app.training.model import LanguageModel, build_decoder
from app.training.parallel.attention import PackedSequence
from benchmarks.step_counts import count_mlp_tokens
from tests.models.families import family

NUM_TOKENS = 40


def step(model_type, **settings):
    """Loss, gradients, and passes of a token forward through each layer's MLP."""
    torch.manual_seed(4)
    decoder = build_decoder(family(model_type))
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.1)
    model = LanguageModel(decoder, 16)
    settings = {"checkpoint_layers": True, "offload": False, "mlp_tile_tokens": 5} | settings
    save_activation_memory(model.layers, **settings)
    tokens = torch.arange(NUM_TOKENS)
    with count_mlp_tokens(model.layers) as counted:
        loss = model(tokens, tokens, tokens, PackedSequence((0, 11, 12, NUM_TOKENS)))
        loss.backward()
    gradients = [parameter.grad for parameter in decoder.parameters() if parameter.grad is not None]
    return [loss.detach(), *gradients], sum(counted) / NUM_TOKENS / len(model.layers)


@pytest.mark.parametrize(
    ("model_type", "passes"),
    [("llama", 2.0), ("phi3", 2.0), ("gpt_neox", 2.0), ("olmo2", 3.0), ("glm4", 3.0)],
)
@pytest.mark.parametrize("keep_attention", [True, False])
def test_tiles_compute_their_mlp_once_more_unless_a_norm_behind_it_needs_its_output(
    model_type, passes, keep_attention
):
    whole, _ = step(model_type, checkpoint_layers=False, mlp_tile_tokens=None)
    tiled, found = step(model_type, keep_attention=keep_attention)
    assert found == passes
    for one, other in zip(tiled, whole, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_tiles_alone_are_computed_once_more():
    _, found = step("llama", checkpoint_layers=False)
    assert found == 2.0


def test_a_sequence_of_one_tile_has_no_tiles():
    _, found = step("llama", mlp_tile_tokens=NUM_TOKENS)
    assert found == 2.0
