import pytest
import torch
from torch.utils.checkpoint import checkpoint

from app.training.memory.activations import save_activation_memory
from app.training.model import LanguageModel, build_decoder
from app.training.parallel.attention import PackedSequence
from app.training.parallel.kept_results import KeptResults, computed_once
from benchmarks.step_counts import AttentionCalls
from tests.models.families import family

PACKED = PackedSequence((0, 11, 12, 40))


def step(model_type, **settings):
    """Loss, gradients, and forwards of attention for each backward."""
    torch.manual_seed(4)
    decoder = build_decoder(family(model_type))
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.1)
    model = LanguageModel(decoder, 16)
    settings = {"checkpoint_layers": True, "offload": True, "mlp_tile_tokens": None} | settings
    save_activation_memory(model.layers, **settings)
    tokens = torch.arange(40)
    with AttentionCalls() as calls:
        loss = model(tokens, tokens, tokens, PACKED)
        loss.backward()
    gradients = [parameter.grad for parameter in decoder.parameters() if parameter.grad is not None]
    return [loss.detach(), *gradients], calls.num_forward / calls.num_backward


def are_equal(found, expected):
    return all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("model_type", ["llama", "gpt_oss", "gemma3_text", "qwen3_moe"])
def test_kept_attention_is_computed_once_and_changes_no_bit(model_type):
    plain, once = step(model_type, checkpoint_layers=False)
    again, twice = step(model_type, keep_attention=False)
    kept, kept_once = step(model_type)
    assert (once, twice, kept_once) == (1.0, 2.0, 1.0)
    assert are_equal(kept, again)
    assert are_equal(kept, plain)


def test_each_call_gets_its_own_results_back_however_often_a_layer_is_computed_again():
    kept = KeptResults(lambda tensor: (tensor,), lambda packed: packed[0])
    first, again = kept.contexts()
    computed = []

    def compute():
        computed.append(torch.full((2,), float(len(computed)), requires_grad=True) * 1.0)
        return computed[-1], computed[-1]

    with first:
        results = [computed_once(compute)[0] for _ in range(3)]
    for _ in range(2):
        with again:
            found = [computed_once(compute)[0] for _ in range(3)]
        assert are_equal(found, results)
        assert not any(part.requires_grad for part in found)
    assert len(computed) == 3
    # Outside nothing is kept.
    computed_once(compute)
    assert len(computed) == 4


def test_a_layer_that_attends_more_often_than_before_is_told():
    def attend(states):
        return computed_once(lambda: (states, states))[0]

    kept = KeptResults(lambda tensor: tensor, lambda tensor: tensor)
    with kept.contexts()[1], pytest.raises(AssertionError, match="more often"):
        attend(torch.zeros(1))


def test_what_is_kept_goes_where_checkpoints_go():
    packed = []

    def pack(tensor):
        packed.append(tensor.shape)
        return tensor.clone()

    contexts = KeptResults(pack, lambda tensor: tensor).contexts
    states = torch.zeros(3, requires_grad=True)

    def layer(states):
        computed_once(lambda: (states[:2], states[:1]))
        return states * 2

    checkpoint(layer, states, use_reentrant=False, context_fn=contexts).sum().backward()
    assert packed == [(2,), (1,)]
