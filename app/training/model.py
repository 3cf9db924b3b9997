"""The model that is trained: a transformers decoder with our attention and our loss, sharded by FSDP2."""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import CPUOffloadPolicy, MixedPrecisionPolicy, OffloadPolicy, fully_shard

from app.models.logits import output_layer_of
from app.models.shape import layers_of
from app.training.experts import ExpertWatch, with_gradient_of
from app.training.loss import summed_loss
from app.training.parallel.attention import ATTENTION, PackedSequence, attending_to, register_attention
from app.training.parallel.kernels import AttentionKernel


class LanguageModel(nn.Module):
    """A causal language model whose forward pass gives the loss.

    The loss belongs inside: outside, under FSDP, the output layer's weight is a shard.

    Args:
        decoder: A transformers model for causal language modelling.
        loss_chunk_tokens: Tokens whose logits are there at once.
        kernel: What computes the attention; None: the device's usual one.
    """

    def __init__(
        self, decoder: nn.Module, loss_chunk_tokens: int, kernel: AttentionKernel | None = None
    ) -> None:
        super().__init__()
        self.decoder = decoder
        for layer in self.layers:
            _hand_over_sequence(layer, kernel)
        self.experts = ExpertWatch(self.layers)
        self._loss_chunk_tokens = loss_chunk_tokens

    @property
    def config(self) -> Any:
        """Configuration of the model, from transformers."""
        return self.decoder.config

    @property
    def layers(self) -> nn.ModuleList:
        """The decoder layers, in order."""
        return layers_of(self.decoder)

    def forward(
        self,
        input_ids: Tensor,
        position_ids: Tensor,
        labels: Tensor | None,
        packed: PackedSequence,
        loss_scale: float = 1.0,
        router_scale: float = 0.0,
    ) -> Tensor:
        """`loss_scale` times the sum of the losses of this rank's tokens; without labels their logits, all at once.

        Args:
            input_ids: Own tokens of the sequence, `[own tokens]`.
            position_ids: Place of each in its document, `[own tokens]`.
            labels: The token that follows each, or `IGNORED`, `[own tokens]`; None: give the logits
                `[own tokens, vocabulary]`.
            packed: The sequence.
            loss_scale: Factor.
            router_scale: Factor of the routers' loss, which is in the gradients alone.
        """
        self.experts.keeps_probabilities = router_scale != 0.0
        hidden = self.hidden_states(input_ids, position_ids, packed)
        if labels is None:
            return output_layer_of(self.decoder).logits(hidden)
        loss = summed_loss(hidden, output_layer_of(self.decoder), labels, self._loss_chunk_tokens, loss_scale)
        router_loss = self.experts.loss(packed.parallel)
        return loss if router_loss is None else with_gradient_of(loss, router_scale * router_loss)

    def hidden_states(self, input_ids: Tensor, position_ids: Tensor, packed: PackedSequence) -> Tensor:
        """Last hidden states `[own tokens, hidden_size]`."""
        backbone: Any = self.decoder.base_model
        with self.experts.watching():
            outputs = backbone(
                input_ids=input_ids.unsqueeze(0),
                position_ids=position_ids.unsqueeze(0),
                attention_mask=None,
                use_cache=False,
                packed=packed,
            )
        hidden: Tensor = outputs.last_hidden_state[0]
        return hidden


def _hand_over_sequence(layer: nn.Module, kernel: AttentionKernel | None) -> None:
    """Let a layer's attention find the sequence: some layers, such as StableLM's, do not pass keywords on."""
    forward = layer.forward

    def attending(*arguments: Any, packed: PackedSequence, **keywords: Any) -> Any:
        # Around the layer, not the model: a layer is computed again in the backward pass, by another thread.
        with attending_to(packed, kernel):
            return forward(*arguments, **keywords)

    # On the instance: names of parameters stay what they are, unlike with a wrapping module.
    setattr(layer, "forward", attending)  # noqa: B010


def build_decoder(config: Any, dtype: torch.dtype = torch.float32) -> nn.Module:
    """A transformers model of this configuration with our attention and whatever its memory holds as weights.

    The weights are to be loaded; on Linux memory that nobody writes is none.
    """
    from transformers import AutoModelForCausalLM
    from transformers.initialization import no_init_weights

    register_attention()
    config._attn_implementation = ATTENTION
    with no_init_weights():
        decoder: Any = AutoModelForCausalLM.from_config(config, dtype=dtype, trust_remote_code=False)
    # Part of the initialisation that is left out.
    decoder.tie_weights()
    return cast(nn.Module, decoder.train())


def shard_model(model: LanguageModel, mesh: DeviceMesh, dtype: torch.dtype, offload: bool) -> None:
    """Shard parameters, gradients and optimizer state over all ranks of a mesh, in place.

    Args:
        model: The model; its parameters are the float32 master weights.
        mesh: One dimension, all ranks that train.
        dtype: Dtype of the computation; gradients are reduced in float32.
        offload: Keep the shards in the host's memory.
    """
    policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
    offload_policy = CPUOffloadPolicy(pin_memory=mesh.device_type != "cpu") if offload else OffloadPolicy()
    for layer in model.layers:
        fully_shard(layer, mesh=mesh, mp_policy=policy, offload_policy=offload_policy)
    fully_shard(model, mesh=mesh, mp_policy=policy, offload_policy=offload_policy)
