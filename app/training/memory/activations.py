"""Makes long sequences fit: activation checkpointing, its offload to the host, tiled MLPs.

Each replaces a module's forward function and changes no result. Meant to be put on before FSDP, whose hooks then
surround it: parameters that a recomputation reads are those of the pass that it belongs to.
"""

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

from app.faults import UserError
from app.models.shape import layers_of
from app.training.parallel.kept_results import KeptResults, is_computed_again


def save_activation_memory(
    layers: nn.ModuleList,
    *,
    checkpoint_layers: bool,
    offload: bool,
    mlp_tile_tokens: int | None,
    keep_attention: bool = True,
) -> None:
    """Prepare decoder layers, in place.

    Args:
        layers: Layers of a transformers decoder.
        checkpoint_layers: Keep each layer's input only, and compute the rest again in the backward pass.
        offload: Keep what is kept of a layer in the host's memory.
        mlp_tile_tokens: Tokens that an MLP works on at once; None: all.
        keep_attention: Keep the attention's output and log-sum-exp beside the input of a checkpointed layer.

    Raises:
        UserError: The layers' MLPs are not where transformers' decoders have them.
    """
    offloader = Offloader() if offload else None
    for layer in layers:
        if mlp_tile_tokens is not None:
            _tile(_mlp_of(layer), mlp_tile_tokens)
        if checkpoint_layers:
            _checkpoint(layer, offloader, keep_attention)


def check_tiling(config: Any) -> None:
    """See that a configuration's layers have an MLP that can be tiled.

    Raises:
        UserError: they have none.
    """
    from transformers import AutoModelForCausalLM

    small = copy.deepcopy(config)
    small.num_hidden_layers = 1
    if getattr(small, "layer_types", None):
        small.layer_types = small.layer_types[:1]
    with torch.device("meta"):
        decoder = AutoModelForCausalLM.from_config(small, trust_remote_code=False)
    _mlp_of(layers_of(decoder)[0])


def _checkpoint(layer: nn.Module, offloader: "Offloader | None", keep_attention: bool) -> None:
    forward: Callable[..., Any] = layer.forward
    pack = offloader.pack if offloader is not None else _as_it_is
    unpack = offloader.unpack if offloader is not None else _as_it_is

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return KeptResults(pack, unpack, keep_attention).contexts()

    def checkpointed(*arguments: Any, **keywords: Any) -> Any:
        # The hooks see what checkpointing itself saves, the layer's input; inside, its own hooks rule.
        with offloader.hooks() if offloader is not None else nullcontext():
            return checkpoint(
                forward,
                *arguments,
                use_reentrant=False,
                preserve_rng_state=False,
                context_fn=contexts,
                **keywords,
            )

    _replace_forward(layer, checkpointed)


def _as_it_is(tensor: Tensor) -> Tensor:
    return tensor


def _tile(mlp: nn.Module, tile_tokens: int) -> None:
    forward: Callable[[Tensor], Any] = mlp.forward

    def tiled(hidden: Tensor) -> Any:
        tiles = hidden.split(tile_tokens, dim=1)
        if len(tiles) == 1:
            return forward(hidden)
        if not is_computed_again():
            return _join([_checkpointed_tile(forward, tile) for tile in tiles])
        # Each tile will compute itself again. Until then its input is wanted, and its output only where the layer goes
        # on to save what depends on it, as with a norm behind the MLP: torch stops at the last thing that was saved.
        for tile in tiles:
            _checkpointed_tile(_as_it_is, tile)
        with torch.no_grad():
            joined = _join([forward(tile) for tile in tiles])
        parts = joined if isinstance(joined, tuple) else (joined,)
        # What follows saves what the first pass saved only if gradients flow.
        for part in parts:
            part.requires_grad_(part.is_floating_point())
        return joined

    _replace_forward(mlp, tiled)


def _checkpointed_tile(forward: Callable[[Tensor], Any], tile: Tensor) -> Any:
    return checkpoint(forward, tile, use_reentrant=False, preserve_rng_state=False)


def _join(parts: list[Any]) -> Any:
    if isinstance(parts[0], Tensor):
        return torch.cat(parts, dim=1)
    # With what a router decided, `[tokens, experts]`.
    return tuple(torch.cat(column, dim=column[0].ndim - 2) for column in zip(*parts, strict=True))


def _mlp_of(layer: nn.Module) -> nn.Module:
    mlp = getattr(layer, "mlp", None)
    if not isinstance(mlp, nn.Module):
        raise UserError(
            f"train.memory.mlp_tile_tokens: {type(layer).__name__} has no plain MLP to be tiled; leave it out"
        )
    return mlp


def _replace_forward(module: nn.Module, forward: Callable[..., Any]) -> None:
    # On the instance: names of parameters stay what they are, unlike with a wrapping module.
    setattr(module, "forward", forward)  # noqa: B010


class Offloader:
    """Moves saved tensors to pinned host memory on a stream of its own, and back before they are read."""

    def __init__(self) -> None:
        self._stream: torch.cuda.Stream | None = None

    def hooks(self) -> AbstractContextManager[None]:
        """Inside the block, saved activations of CUDA devices are kept on the host."""
        return saved_tensors_hooks(self.pack, self.unpack)

    def pack(self, tensor: Tensor) -> Tensor | tuple[torch.device, Tensor, torch.cuda.Event]:
        """Start the way of a CUDA device's activation to the host; others stay where they are."""
        if not tensor.is_cuda or isinstance(tensor, nn.Parameter):
            return tensor
        stream = self._side_stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            host.copy_(tensor, non_blocking=True)
            event = torch.cuda.Event()
            event.record()
        # Its memory is not given to others before the copy is done.
        tensor.record_stream(stream)
        return tensor.device, host, event

    def unpack(self, packed: Any) -> Tensor:
        """Back where it was, in the order of the current stream."""
        if isinstance(packed, Tensor):
            return packed
        device, host, event = packed
        stream = torch.cuda.current_stream()
        stream.wait_event(event)
        return host.to(device, non_blocking=True)

    def _side_stream(self) -> torch.cuda.Stream:
        if self._stream is None:
            self._stream = torch.cuda.Stream()
        return self._stream
