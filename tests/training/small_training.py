"""A small model that some of a run's processes train together, for tests of what surrounds the training."""

import math
from typing import Any

import torch
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor
from transformers import AutoModelForCausalLM

from app.config import OptimizerConfig
from app.training.model import LanguageModel, build_decoder, shard_model
from app.training.parallel.attention import SequenceParallel
from app.training.parallel.layout import SequenceLayout
from app.training.parallel.process_groups import Workers
from app.training.step import add_gradients, build_optimizer
from app.training.step import train_step as step_of_training
from tests.training.parallel.parity_cases import MemorySequences

SEQUENCES = MemorySequences(((20, 1, 30, 13), (64,), (31, 33), (5, 50, 9)))


def some_workers(num_processes: int, layout: SequenceLayout | None = None) -> Workers | None:
    """The first processes of the run, all of which must call this; nothing for those that are left over."""
    layout = layout or SequenceLayout()
    ranks = torch.arange(num_processes)
    mesh = DeviceMesh("cpu", ranks, mesh_dim_names=("all",))
    shape = (num_processes // layout.size, layout.ring_size, layout.ulysses_size)
    places = DeviceMesh("cpu", ranks.view(shape), mesh_dim_names=("data", "ring", "ulysses"))
    host_group, storage_group = (
        torch.distributed.new_group(ranks.tolist(), backend="gloo") for _ in range(2)
    )
    if torch.distributed.get_rank() >= num_processes:
        return None
    parallel = SequenceParallel.of(places, layout)
    data_rank = places.get_local_rank("data")
    return Workers(mesh, host_group, storage_group, parallel, data_rank, shape[0], torch.device("cpu"))


def random_weights(config: Any, seed: int) -> dict[str, torch.Tensor]:
    """Of plain transformers; norms and biases are random too."""
    torch.manual_seed(seed)
    decoder = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return decoder.state_dict()


def small_model(
    config: Any, seed: int, workers: Workers, dtype: torch.dtype = torch.float32, offload: bool = False
) -> LanguageModel:
    weights = random_weights(config, seed)
    decoder = build_decoder(config)
    decoder.load_state_dict(weights)
    model = LanguageModel(decoder, 1000)
    shard_model(model, workers.mesh, dtype, offload)
    return model


def adam_of(model: LanguageModel) -> torch.optim.Optimizer:
    return build_optimizer(model, OptimizerConfig(weight_decay=0.1))


def train_step(model: LanguageModel, optimizer: torch.optim.Optimizer, step: int, workers: Workers) -> float:
    """One step on two of the sequences; the loss before it."""
    result = step_of_training(
        model, optimizer, SEQUENCES, step % 2, 2, workers, learning_rate=1e-2, max_grad_norm=math.inf
    )
    return result.loss


def learn(model: LanguageModel, step: int, workers: Workers) -> float:
    """Gradients of a step; the loss."""
    loss, _ = add_gradients(model, SEQUENCES, step % 2, 2, workers)
    return loss


def whole_state(model: LanguageModel, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Copies of all weights and of the optimizer's state, whole, on every process."""
    state = {}
    for name, parameter in model.named_parameters():
        state[name] = _whole(parameter)
        for key, value in optimizer.state.get(parameter, {}).items():
            state[f"{name}:{key}"] = _whole(value)
    for number, group in enumerate(optimizer.param_groups):
        for key in ("lr", "weight_decay"):
            state[f"group {number}:{key}"] = torch.tensor(group[key])
    return state


def _whole(value: torch.Tensor) -> torch.Tensor:
    value = value.detach()
    return (value.full_tensor() if isinstance(value, DTensor) else value).clone()


def differing(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> list[str]:
    """Names under which two states are not the same to the last bit."""
    names = sorted(found.keys() | expected.keys())
    return [n for n in names if n not in found or n not in expected or not torch.equal(found[n], expected[n])]
