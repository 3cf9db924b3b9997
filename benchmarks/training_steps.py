"""One training step, as this project takes it and as plain transformers does, on a model of any shape.

Random weights, random tokens: neither memory nor time depends on them. Nothing here needs Ray, pydantic or pyarrow.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh

from app.training.batches import load_shard
from app.training.memory.activations import save_activation_memory
from app.training.model import LanguageModel, build_decoder, shard_model
from app.training.parallel.attention import SequenceParallel
from app.training.parallel.kernels import KernelName, kernel_of

LEARNING_RATE = 1e-5
MAX_GRAD_NORM = 1.0


@dataclass(frozen=True)
class Shape:
    """Sizes of a Llama."""

    hidden_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    intermediate_size: int
    vocab_size: int
    tie_weights: bool = True

    def config(self, max_tokens: int) -> Any:
        """Its configuration of transformers."""
        from transformers import AutoConfig

        return AutoConfig.for_model(
            "llama",
            hidden_size=self.hidden_size,
            num_hidden_layers=self.num_layers,
            num_attention_heads=self.num_heads,
            num_key_value_heads=self.num_kv_heads,
            head_dim=self.head_dim,
            intermediate_size=self.intermediate_size,
            vocab_size=self.vocab_size,
            max_position_embeddings=max_tokens,
            tie_word_embeddings=self.tie_weights,
            pad_token_id=None,
        )


@dataclass(frozen=True)
class MemorySettings:
    """What this project's step does for memory; see `app.training.memory.activations`."""

    mlp_tile_tokens: int
    loss_chunk_tokens: int
    offload_checkpoints: bool = False
    keep_attention: bool = True


@dataclass(frozen=True)
class RandomSequences:
    """One sequence of random tokens, all of them learned, as `app.training.batches` reads it."""

    num_tokens: int
    vocab_size: int
    document_tokens: int | None = None
    """Length of its documents; None: it is a single one."""

    @property
    def num_sequences(self) -> int:
        return 1

    @property
    def seq_tokens(self) -> int:
        return self.num_tokens

    def starts(self, index: int) -> np.ndarray:
        return np.arange(0, self.num_tokens, self.document_tokens or self.num_tokens)

    def num_targets(self, index: int) -> int:
        return self.num_tokens - len(self.starts(index))

    def read(self, index: int, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        # Every rank draws the whole and takes its part, so that all see one sequence.
        tokens = np.random.default_rng(index).integers(0, self.vocab_size, self.num_tokens, dtype=np.int32)
        is_target = np.ones(self.num_tokens, bool)
        is_target[self.starts(index)] = False
        return tokens[start:stop], is_target[start:stop]


class Step(Protocol):
    """A model that can be trained a step."""

    def forward_backward(self, sequences: RandomSequences) -> float:
        """Add the gradients of one sequence; gives the loss."""
        ...

    def update(self) -> None:
        """Clip and apply the gradients where there is an optimizer, and drop them."""
        ...


class ProjectStep:
    """The step of `app.training`: checkpointing, MLPs in tiles, loss in chunks, our attention.

    Args:
        shape: Of the model.
        memory: What is done for memory.
        device: Where.
        dtype: Of the computation. With a mesh the weights are float32 and sharded, else they have this type.
        mesh: Shard over these processes by FSDP; None: a single process and no FSDP.
        parallel: Those that share a sequence with this process.
        with_optimizer: Keep AdamW's state.
        kernel: What computes attention on a GPU.
    """

    def __init__(
        self,
        shape: Shape,
        memory: MemorySettings,
        device: torch.device,
        dtype: torch.dtype,
        mesh: DeviceMesh | None = None,
        parallel: SequenceParallel | None = None,
        with_optimizer: bool = True,
        kernel: KernelName = "flash",
    ) -> None:
        self.device = device
        self.parallel = parallel or SequenceParallel()
        self._num_processes = 1 if mesh is None else mesh.size()
        with device:
            decoder = build_decoder(shape.config(2**20), dtype if mesh is None else torch.float32)
        fill_weights(decoder)
        self.model = LanguageModel(decoder, memory.loss_chunk_tokens, kernel_of(device, kernel))
        save_activation_memory(
            self.model.layers,
            checkpoint_layers=True,
            offload=memory.offload_checkpoints,
            mlp_tile_tokens=memory.mlp_tile_tokens,
            keep_attention=memory.keep_attention,
        )
        if mesh is not None:
            shard_model(self.model, mesh, dtype, offload=False)
        self.optimizer = (
            torch.optim.AdamW(self.model.parameters(), lr=LEARNING_RATE, fused=True)
            if with_optimizer
            else None
        )

    def forward_backward(self, sequences: RandomSequences) -> float:
        shard = load_shard(sequences, 0, self.parallel)
        loss: Tensor = self.model(
            shard.input_ids.to(self.device),
            shard.position_ids.to(self.device),
            shard.labels.to(self.device),
            shard.packed,
            # FSDP averages gradients over the processes.
            self._num_processes / sequences.num_targets(0),
        )
        loss.backward()
        return float(loss.detach()) / self._num_processes

    def update(self) -> None:
        _update(self.model, self.optimizer)


class PlainStep:
    """The step of plain transformers: gradient checkpointing, torch's SDPA, transformers' own loss.

    Args:
        shape: Of the model.
        device: Where.
        dtype: Of the weights.
        autocast: Type of the computation where it is another.
        with_optimizer: Keep AdamW's state.
    """

    def __init__(
        self,
        shape: Shape,
        device: torch.device,
        dtype: torch.dtype,
        autocast: torch.dtype | None = None,
        with_optimizer: bool = True,
    ) -> None:
        from transformers import AutoModelForCausalLM
        from transformers.initialization import no_init_weights

        config = shape.config(2**20)
        config._attn_implementation = "sdpa"
        self.device, self._autocast = device, autocast
        with device, no_init_weights():
            decoder: Any = AutoModelForCausalLM.from_config(config, dtype=dtype)
        decoder.tie_weights()
        fill_weights(decoder)
        decoder.gradient_checkpointing_enable({"use_reentrant": False})
        self.model = decoder.train()
        self.optimizer = torch.optim.AdamW(decoder.parameters(), lr=LEARNING_RATE) if with_optimizer else None

    def forward_backward(self, sequences: RandomSequences) -> float:
        assert sequences.document_tokens is None, "SDPA without a mask knows no documents"
        read, _ = sequences.read(0, 0, sequences.num_tokens)
        tokens = torch.from_numpy(read).long().unsqueeze(0).to(self.device)
        with torch.autocast(self.device.type, self._autocast, enabled=self._autocast is not None):
            loss = self.model(input_ids=tokens, labels=tokens, use_cache=False).loss
        loss.backward()
        return float(loss.detach())

    def update(self) -> None:
        _update(self.model, self.optimizer)


def _update(model: nn.Module, optimizer: torch.optim.Optimizer | None) -> None:
    if optimizer is None:
        model.zero_grad(set_to_none=True)
        return
    nn.utils.clip_grad_norm_(model.parameters(), MAX_GRAD_NORM)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


@torch.no_grad()
def fill_weights(decoder: nn.Module) -> None:
    """Random weights of a usual size, the same on every rank; norms of ones."""
    torch.manual_seed(0)
    for parameter in decoder.parameters():
        if parameter.ndim >= 2:
            parameter.normal_(0.0, 0.02)
        else:
            parameter.fill_(1.0)
