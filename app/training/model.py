"""The model that is trained: a transformers decoder with our attention and our loss, sharded by FSDP2."""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import CPUOffloadPolicy, MixedPrecisionPolicy, OffloadPolicy, fully_shard

from app.models.shape import layers_of
from app.training.loss import summed_loss
from app.training.parallel.attention import ATTENTION, PackedSequence, register_attention


class LanguageModel(nn.Module):
    """A causal language model whose forward pass gives the loss.

    The loss belongs inside: outside, under FSDP, the output layer's weight is a shard.

    Args:
        decoder: A transformers model for causal language modelling.
        loss_chunk_tokens: Tokens whose logits are there at once.
    """

    def __init__(self, decoder: nn.Module, loss_chunk_tokens: int) -> None:
        super().__init__()
        self.decoder = decoder
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
    ) -> Tensor:
        """`loss_scale` times the sum of the losses of this rank's tokens; without labels their logits, all at once.

        Args:
            input_ids: Own tokens of the sequence, `[own tokens]`.
            position_ids: Place of each in its document, `[own tokens]`.
            labels: The token that follows each, or `IGNORED`, `[own tokens]`; None: give the logits
                `[own tokens, vocabulary]`.
            packed: The sequence.
            loss_scale: Factor.
        """
        hidden = self.hidden_states(input_ids, position_ids, packed)
        if labels is None:
            return hidden @ self._output_weight().T
        return summed_loss(hidden, self._output_weight(), labels, self._loss_chunk_tokens, loss_scale)

    def hidden_states(self, input_ids: Tensor, position_ids: Tensor, packed: PackedSequence) -> Tensor:
        """Last hidden states `[own tokens, hidden_size]`."""
        backbone: Any = self.decoder.base_model
        outputs = backbone(
            input_ids=input_ids.unsqueeze(0),
            position_ids=position_ids.unsqueeze(0),
            attention_mask=None,
            use_cache=False,
            packed=packed,
        )
        hidden: Tensor = outputs.last_hidden_state[0]
        return hidden

    def _output_weight(self) -> Tensor:
        decoder: Any = self.decoder
        weight: Tensor = decoder.get_output_embeddings().weight
        return weight


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
