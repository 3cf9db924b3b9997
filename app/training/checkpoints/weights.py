"""The weights of a sharded model by name, each once: as shards for checkpoints, complete for an export."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.distributed.checkpoint.state_dict import get_model_state_dict
from torch.distributed.tensor import DTensor

from app.training.model import LanguageModel
from app.training.parallel.process_groups import Workers

DECODER = "decoder."
"""What our names of weights have before transformers'."""


def distinct_weights(model: LanguageModel) -> dict[str, Tensor]:
    """Parameters and saved buffers, as they are sharded; tied ones under the first of their names."""
    names = {name for name, _ in model.named_parameters()} | {name for name, _ in model.named_buffers()}
    weights: dict[str, Tensor] = get_model_state_dict(model)
    return {name: weight for name, weight in weights.items() if name in names}


def whole_weights(model: LanguageModel, workers: Workers, dtype: torch.dtype) -> Iterator[tuple[str, Tensor]]:
    """Names as transformers has them and whole weights, one after the other, on the leader's CPU.

    Every process must go through it to the end; all but the leader are given nothing.

    Args:
        model: Sharded or not.
        workers: All that hold a shard of it.
        dtype: What parameters are rounded to. Buffers, such as a router's corrections, stay what they are.
    """
    buffers = {name for name, _ in model.named_buffers()}
    for name, shard in distinct_weights(model).items():
        weight = shard.detach()
        if isinstance(weight, DTensor):
            # Shards that are kept on the host too are gathered between devices.
            weight = weight.to(workers.device).to(dtype).full_tensor()
        if workers.is_leader:
            weight = weight.to("cpu", weight.dtype if name in buffers else dtype)
            # Gathered from shards of several sizes it may be a view of more than itself, which no file takes.
            is_view = weight.untyped_storage().nbytes() != weight.nbytes
            yield name.removeprefix(DECODER), weight.clone() if is_view else weight
