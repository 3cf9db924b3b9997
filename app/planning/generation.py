"""How long an engine takes for its calls, by a roofline: FLOPs for prompts, memory traffic for replies.

prefill   operations of a forward pass over all prompt tokens / (share of the devices' peak)
decode    each step writes a token of each of B replies and reads the weights once and the keys and values of all B:
          (weights + B c k) / (share of the devices' bandwidth), or its operations where they take longer. c: tokens
          of a call while it is answered, k: bytes of keys and values a token

B is what the settings allow (`max_concurrent_calls`, `max_num_seqs`) and the KV cache has room for. Prefill and
decode share the engine, so their times are added; what a prefix cache serves and what they hide of each other is left
out. Rooflines: Williams et al., CACM 52(4), 2009; of transformers: Pope et al., arXiv 2211.05102, section 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from app.models.shape import ModelShape
from app.planning.calls import StepCalls
from app.planning.machines import Device
from app.training.flops import flops_of_sequence

FORWARD_SHARE = 1 / 3
"""Share of the forward pass in the FLOPs of a forward and a backward pass."""


@dataclass(frozen=True)
class Engine:
    """One engine: its model and the devices that it has."""

    shape: ModelShape
    device: Device
    num_devices: int
    weights_bytes: float
    """Weights on all devices of the engine together."""
    kv_bytes_per_token: float
    """KV cache of one token on all devices together."""
    kv_room_bytes: float
    """Room for the KV cache on all devices together."""
    max_concurrent: int
    """Most calls that the engine processes at once, regardless of the cache's room."""
    prefill_share: float
    decode_share: float


@dataclass(frozen=True)
class GenerationTime:
    """Time that one engine takes for all calls."""

    prefill_sec: float
    decode_sec: float
    num_concurrent: float
    """Replies that are decoded at once."""

    @property
    def total_sec(self) -> float:
        return self.prefill_sec + self.decode_sec


def time_generation(engine: Engine, calls: Sequence[StepCalls]) -> GenerationTime:
    """Time of one engine that always has enough calls to process."""
    peak = engine.device.peak_flops * engine.num_devices * engine.prefill_share
    bandwidth = engine.device.bytes_per_sec * engine.num_devices * engine.decode_share
    prefill_flops = sum(each.num_calls * prompt_flops(engine.shape, each.prompt_per_call) for each in calls)
    num_outputs = sum(each.output_tokens for each in calls)
    # A call is met as long as it is answered.
    context = sum(
        each.output_tokens * (each.prompt_per_call + each.output_per_call / 2) for each in calls
    ) / max(num_outputs, 1e-9)
    room = engine.kv_room_bytes / (engine.kv_bytes_per_token * max(context, 1.0))
    num_calls = sum(each.num_calls for each in calls)
    num_concurrent = max(1.0, min(engine.max_concurrent, room, num_calls))
    step_bytes = engine.weights_bytes + num_concurrent * context * engine.kv_bytes_per_token
    multiplied = engine.shape.num_active_parameters - engine.shape.num_embedding_parameters
    step_sec = max(step_bytes / bandwidth, 2.0 * multiplied * num_concurrent / peak)
    return GenerationTime(prefill_flops / peak, num_outputs / num_concurrent * step_sec, num_concurrent)


def prompt_flops(shape: ModelShape, num_tokens: float) -> float:
    """Operations of reading one prompt."""
    return FORWARD_SHARE * flops_of_sequence(shape, [0, max(1, round(num_tokens))])
