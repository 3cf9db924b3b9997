"""Memory of a served model: weights, KV cache, and how many long requests there is room for.

KV cache per token = 2 L Hkv d bytes (keys and values of every layer), over tensor and pipeline parallel devices; key
heads that are fewer than the tensor parallel devices are repeated. Beside it a GPU holds the weights and what one step
of a prefill keeps: `t (2 f + 4 h)` numbers of the `t` tokens that are computed at once.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from app.config import ServedModelConfig
from app.models.shape import ModelShape
from app.quantities import DTYPE_BYTES, GIB

FP8_BYTES = 1
BATCHED_TOKENS = 8192
"""Most prompt tokens that vLLM computes at once, unless `engine_args.max_num_batched_tokens` sets another limit."""
CPU_PROCESS_GIB = 1.5
"""Memory of an engine on a CPU besides weights and cache: SmolLM2-135M with a cache of 3 GiB took 4.8 GB."""
MAX_TENSOR_PARALLEL = 64


@dataclass(frozen=True)
class Memory:
    """Memory of one device: a GPU, or the host of an engine on a CPU."""

    device_bytes: float
    source: str
    """Where the number comes from."""


@dataclass(frozen=True)
class ModelMemory:
    """One replica of a served model."""

    served: ServedModelConfig
    shape: ModelShape
    weight_dtype: str
    """Dtype of the computation, under vLLM's name."""
    tokens: int
    """Longest request, answer included."""

    @property
    def num_devices(self) -> int:
        return self.served.tensor_parallel_size * self.served.pipeline_parallel_size

    @property
    def weights_bytes(self) -> int:
        """Weights on all devices together."""
        return self.shape.num_parameters * DTYPE_BYTES[self.weight_dtype]

    @property
    def kv_number_bytes(self) -> int:
        return FP8_BYTES if self.served.kv_cache_dtype == "fp8" else DTYPE_BYTES[self.weight_dtype]

    @property
    def kv_bytes_per_token(self) -> int:
        """KV cache of one token on all devices together, without repeated heads."""
        return kv_bytes_per_token(self.shape, self.kv_number_bytes)

    @property
    def device_kv_bytes_per_token(self) -> int:
        heads = math.ceil(self.shape.num_kv_heads / self.served.tensor_parallel_size)
        layers = math.ceil(self.shape.num_layers / self.served.pipeline_parallel_size)
        return 2 * layers * heads * self.shape.head_dim * self.kv_number_bytes

    def device_kv_room_bytes(self, memory: Memory) -> float:
        """What a device has for the KV cache."""
        if not self.served.gpus_per_replica:
            return self.served.cpu_kv_cache_gib * GIB
        batched = int(self.served.engine_args.get("max_num_batched_tokens", BATCHED_TOKENS))
        numbers = 2 * self.shape.intermediate_size / self.served.tensor_parallel_size
        step = batched * (numbers + 4 * self.shape.hidden_size) * DTYPE_BYTES[self.weight_dtype]
        return memory.device_bytes * self.served.memory_share - self.weights_bytes / self.num_devices - step

    def host_bytes(self) -> float:
        """What a replica on a CPU takes of its host."""
        cache = self.served.cpu_kv_cache_gib * GIB * self.num_devices
        return self.weights_bytes + cache + CPU_PROCESS_GIB * GIB * self.num_devices

    def num_requests(self, memory: Memory) -> int:
        """Requests of the longest kind that fit at once."""
        room = max(0.0, self.device_kv_room_bytes(memory))
        return int(room // (self.device_kv_bytes_per_token * self.tokens))

    def fits(self, memory: Memory) -> bool:
        """Whether one such request does, and the engine itself."""
        has_host = bool(self.served.gpus_per_replica) or self.host_bytes() <= memory.device_bytes
        return has_host and self.num_requests(memory) >= 1

    def remedies(self, memory: Memory) -> Iterator[str]:
        """Changes that would each make it fit, the smallest first."""
        if self.served.kv_cache_dtype == "auto" and self._with(kv_cache_dtype="fp8").fits(memory):
            yield "kv_cache_dtype fp8"
        if self.served.gpus_per_replica:
            yield from self._more_devices(memory)
        else:
            gib = math.ceil(self.device_kv_bytes_per_token * self.tokens / GIB)
            if self._with(cpu_kv_cache_gib=gib).fits(memory):
                yield f"cpu_kv_cache_gib {gib}"
        shorter = int(max(0.0, self.device_kv_room_bytes(memory)) // self.device_kv_bytes_per_token)
        if 0 < shorter < self.tokens and replace(self, tokens=shorter).fits(memory):
            yield f"max_model_tokens {shorter}"

    def shortage(self, field: str, memory: Memory) -> str:
        """Why it does not fit, and the smallest changes that would make it.

        Args:
            field: The model's place in the settings.
            memory: Of a device.
        """
        changes = " or ".join(self.remedies(memory))
        advice = f"set {changes}" if changes else "take more memory, or a smaller model"
        there = f"{memory.device_bytes / GIB:.1f} ({memory.source}); {advice}"
        if not self.served.gpus_per_replica and self.host_bytes() > memory.device_bytes:
            return (
                f"{field}.cpu_kv_cache_gib: {self.served.cpu_kv_cache_gib} and the weights need "
                f"{self.host_bytes() / GIB:.1f} GiB, and there are {there}"
            )
        needed = self.device_kv_bytes_per_token * self.tokens
        return (
            f"{field}.max_model_tokens: {self.tokens} tokens need {needed / GIB:.1f} GiB of KV cache a device, and "
            f"there are {max(0.0, self.device_kv_room_bytes(memory)) / GIB:.1f} beside "
            f"{self.weights_bytes / self.num_devices / GIB:.1f} GiB of weights, of {there}"
        )

    def _more_devices(self, memory: Memory) -> Iterator[str]:
        size, stages = self.served.tensor_parallel_size * 2, self.served.pipeline_parallel_size
        while size <= MAX_TENSOR_PARALLEL and self.shape.num_heads % size == 0:
            wider = self._with(tensor_parallel_size=size, gpus_per_replica=float(size * stages))
            if wider.fits(memory):
                yield f"tensor_parallel_size {size} with gpus_per_replica {size * stages}"
                return
            size *= 2

    def _with(self, **changes: Any) -> "ModelMemory":
        return replace(self, served=self.served.model_copy(update=changes))


def kv_bytes_per_token(shape: ModelShape, number_bytes: int) -> int:
    """2 L Hkv d bytes."""
    return 2 * shape.num_layers * shape.num_kv_heads * shape.head_dim * number_bytes
