"""Estimates the memory that a worker needs for a stage, by formulas, before days are spent.

In bytes, with `u` one activation `[own tokens, hidden_size]`, `q` all query heads and `kv` all key heads of the own
tokens, repeated and padded as Ulysses needs them, `b` bytes a number of the computation:

state        16 P / workers: master weights, gradients, AdamW's two moments, float32, sharded by FSDP
working set  (2b + 4) P_layer + (b + 4) V h: two layers gathered, the gradient of one; the output layer's likewise
checkpoints  L u; 2 u where they are offloaded; without checkpointing what all other layers keep
results      with kept attention, outputs and log-sum-exps: (L - 1) (q + 4 a head and token); of one layer where they
             are offloaded; beside the loss, of one more
attention    norm + 9 q + 8 kv, Ulysses or none; in a ring norm + (5 + 6/b) q + (8 + 24/b) kv
             on a CPU norm + 3 u + 12 q + 4 kv; in a ring norm + 3 u + (7 + 4/b) q + (8 + 24/b) kv
MLP          what the layer's attention keeps + 2 u + 7 b t f, for tiles of t tokens
loss         10 V t + 2 u, for chunks of t tokens

Attention, MLP and loss are not there at the same time: the largest counts. State to loss, on GPUs and with Ulysses, are
the method's (section 5); the others are counted in our own backward passes, at their peak. A ring: `q` four times
(query, output, its gradient, a tile's gradient) and once in float32; keys and values three times (own, here, coming), a
tile's gradients of both, and in float32 their gradients three times (here, coming, going); inside CUDA's kernel, of a
tile of half of the queries, their gradients in float32, and of keys and values for every query head. The CPU's kernel
takes copies by head, of keys and values too for every query head: five `q` in, three out, beside query, output and both
their gradients; `u` for the residual's gradient, the loss's and one sum. Not counted: the CUDA context, communication
buffers, fragments, the slope of capped logits (4 V t).
"""

from dataclasses import dataclass

from app.config import TrainMemoryConfig
from app.models.shape import ModelShape
from app.quantities import DTYPE_BYTES, GIB
from app.training.parallel.layout import SequenceLayout
from app.training.parallel.ulysses import plan_heads


@dataclass(frozen=True)
class MemoryEstimate:
    """Memory that one worker needs on its device, by purpose."""

    state_bytes: float
    working_set_bytes: float
    checkpoints_bytes: float
    attention_bytes: float
    mlp_bytes: float
    loss_bytes: float
    host_bytes: float
    """Host memory of the worker, for what is offloaded."""

    @property
    def total_bytes(self) -> float:
        """Peak memory of the device."""
        return self.state_bytes + self.working_set_bytes + self.checkpoints_bytes + self._peak[1]

    def describe(self) -> str:
        """The parts of the peak in GiB, for a message."""
        parts = {
            "state": self.state_bytes,
            "working set": self.working_set_bytes,
            "checkpoints": self.checkpoints_bytes,
            self._peak[0]: self._peak[1],
        }
        return ", ".join(f"{name} {part / GIB:.1f}" for name, part in parts.items())

    @property
    def _peak(self) -> tuple[str, float]:
        parts = {"attention": self.attention_bytes, "MLP": self.mlp_bytes, "loss": self.loss_bytes}
        return max(parts.items(), key=lambda part: part[1])


@dataclass(frozen=True)
class _Layer:
    """Bytes of a layer's activations on one rank."""

    hidden: float
    norm: float
    """Memory that a norm keeps: its input in float32, the normalised input, its output."""
    query: float
    log_sum_exp: float
    key: float
    mlp: float
    """One activation `[own tokens, intermediate_size]`."""
    is_gathered: bool
    """The attention's output is in memory twice: by heads and by tokens."""

    @property
    def results(self) -> float:
        """What an attention keeps so that it need not be computed again."""
        return self.query + self.log_sum_exp

    @property
    def kept_by_attention(self) -> float:
        """Both norms, query, key, value, output."""
        return 2 * self.norm + (3 if self.is_gathered else 2) * self.query + 2 * self.key

    def kept(self, mlp_is_tiled: bool) -> float:
        """Activations that the MLP keeps for the backward pass: gate, its activation, up and product."""
        return self.kept_by_attention + (0 if mlp_is_tiled else 4 * self.mlp)


def estimate_memory(
    shape: ModelShape,
    max_seq_tokens: int,
    layout: SequenceLayout,
    memory: TrainMemoryConfig,
    dtype: str,
    num_workers: int,
    has_gpu: bool = True,
) -> MemoryEstimate:
    """Memory of one worker.

    Args:
        shape: Sizes of the model.
        max_seq_tokens: Sequence length of the stage.
        layout: How a sequence is shared.
        memory: What is paid with time.
        dtype: Dtype of the computation.
        num_workers: Workers that share the state.
        has_gpu: Otherwise the host is the device, and offloading moves nothing.
    """
    num_bytes = DTYPE_BYTES[dtype]
    own_tokens = layout.padded_tokens(max_seq_tokens) // layout.size
    layer = _layer_of(shape, own_tokens, layout, num_bytes)
    tile = min(memory.mlp_tile_tokens or own_tokens, own_tokens)
    chunk = min(memory.loss_chunk_tokens, own_tokens)
    output_size = shape.vocab_size * shape.hidden_size

    state, host = 16 * shape.num_parameters / num_workers, 0.0
    if memory.offload_optimizer and has_gpu:
        state, host = 0.0, state
    results = layer.results if memory.checkpoint_activations and memory.keep_attention else 0.0
    # Attention and MLP count the output of their own layer.
    checkpoints = shape.num_layers * layer.hidden + (shape.num_layers - 1) * results
    kept = 0 if memory.checkpoint_activations else layer.kept(memory.mlp_tile_tokens is not None)
    if kept:
        # Attention and MLP count what their own layer keeps.
        checkpoints = (shape.num_layers - 1) * kept
    elif memory.offload_checkpoints and has_gpu:
        checkpoints = 2 * layer.hidden + results
        host += shape.num_layers * (layer.hidden + results)
    return MemoryEstimate(
        state_bytes=state,
        working_set_bytes=(2 * num_bytes + 4) * shape.num_layer_parameters + (num_bytes + 4) * output_size,
        checkpoints_bytes=checkpoints,
        attention_bytes=_attention(layer, layout, num_bytes, has_gpu),
        mlp_bytes=layer.kept_by_attention + 2 * layer.hidden + 7 * num_bytes * tile * shape.intermediate_size,
        loss_bytes=10 * shape.vocab_size * chunk + 2 * layer.hidden + kept + results,
        host_bytes=host,
    )


def _layer_of(shape: ModelShape, own_tokens: int, layout: SequenceLayout, num_bytes: int) -> _Layer:
    plan = plan_heads(shape.num_heads, shape.num_kv_heads, layout.ulysses_size)
    num_kv_heads = shape.num_kv_heads * plan.kv_repeats + plan.num_padding_heads
    num_heads = shape.num_heads + plan.num_padding_heads
    per_number = own_tokens * num_bytes
    return _Layer(
        hidden=per_number * shape.hidden_size,
        norm=own_tokens * shape.hidden_size * (4 + 2 * num_bytes),
        query=per_number * num_heads * shape.head_dim,
        log_sum_exp=4.0 * own_tokens * num_heads,
        key=per_number * num_kv_heads * shape.head_dim,
        mlp=per_number * shape.intermediate_size,
        is_gathered=layout.ulysses_size > 1,
    )


def _attention(layer: _Layer, layout: SequenceLayout, num_bytes: int, has_gpu: bool) -> float:
    is_ring = layout.ring_size > 1
    num_keys = 8 + 24 / num_bytes if is_ring else 8.0 if has_gpu else 4.0
    if has_gpu:
        num_queries = 5 + 6 / num_bytes if is_ring else 9.0
        return layer.norm + num_queries * layer.query + num_keys * layer.key
    num_queries = 7 + 4 / num_bytes if is_ring else 12.0
    return layer.norm + 3 * layer.hidden + num_queries * layer.query + num_keys * layer.key
