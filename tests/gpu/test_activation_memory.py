"""Checkpoints on the host: the same gradients, less of the device's memory."""

import pytest
import torch
from torch import nn

from app.training.memory.activations import save_activation_memory

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

NUM_LAYERS, HIDDEN, TOKENS = 12, 256, 32_768


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(HIDDEN, 2 * HIDDEN), nn.GELU(), nn.Linear(2 * HIDDEN, HIDDEN))

    def forward(self, hidden):
        return hidden + self.mlp(hidden)


def step(offload):
    """Gradients, and the peak of memory in bytes."""
    torch.manual_seed(0)
    layers = nn.ModuleList([Layer() for _ in range(NUM_LAYERS)]).cuda()
    save_activation_memory(layers, checkpoint_layers=True, offload=offload, mlp_tile_tokens=4096)
    hidden = torch.randn(1, TOKENS, HIDDEN, device="cuda", requires_grad=True)
    torch.cuda.reset_peak_memory_stats()
    output = hidden
    for layer in layers:
        output = layer(output)
    output.square().mean().backward()
    torch.cuda.synchronize()
    gradients = [hidden.grad, *(parameter.grad for parameter in layers.parameters())]
    return gradients, torch.cuda.max_memory_allocated()


def test_offloaded_checkpoints_give_the_same_gradients_in_less_memory():
    expected, kept_bytes = step(offload=False)
    found, offloaded_bytes = step(offload=True)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)
    one_checkpoint = TOKENS * HIDDEN * 4
    assert offloaded_bytes < kept_bytes - (NUM_LAYERS // 2) * one_checkpoint
