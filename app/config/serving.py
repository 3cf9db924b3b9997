"""Settings of the server and its models."""

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from app.config.checks import OWN_ENGINE_ARGS, check_range, checked_engine_args
from app.config.section import Section

_OWN_SERVING_ARGS = {
    **OWN_ENGINE_ARGS,
    "pipeline_parallel_size": "pipeline_parallel_size",
    "kv_cache_dtype": "kv_cache_dtype",
    "max_num_seqs": "max_concurrent_requests",
    "gpu_memory_utilization": "memory_share",
}
"""vLLM's name → ours, of what has a setting of its own."""


class ServedModelConfig(Section):
    """One model behind the server. It is called by its key in `serve.models`."""

    model: str
    """Hub name, local, s3:// or gs:// folder, bundled:NAME, or stage:NAME for the export of one of the run's stages."""
    revision: str | None = None
    max_model_tokens: PositiveInt | None = None
    """Longest prompt and answer together; left out: what the checkpoint's own RoPE settings say. More is refused."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    kv_cache_dtype: Literal["auto", "fp8"] = "auto"
    """fp8 halves what a long context needs; `auto`: as the weights."""
    tensor_parallel_size: PositiveInt = 1
    pipeline_parallel_size: PositiveInt = 1
    min_replicas: PositiveInt = 1
    max_replicas: PositiveInt = 1
    """With more than min_replicas the number follows the requests."""
    max_concurrent_requests: PositiveInt = 64
    """That the engine of one replica works on at once."""
    max_queued_requests: PositiveInt = 256
    """That wait for a replica; one more is answered with HTTP 429."""
    cpus_per_replica: PositiveFloat = 1.0
    gpus_per_replica: Annotated[float, Field(ge=0)] = 0.0
    """0 for an engine on a CPU, else tensor_parallel_size times pipeline_parallel_size."""
    device_memory_gib: PositiveFloat | None = None
    """Memory of one device, for the plan; left out: this machine's, on a Ray of the job's own."""
    memory_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    """Of a device's memory that the engine may take."""
    cpu_kv_cache_gib: PositiveInt = 2
    """KV cache of an engine that runs on a CPU; ignored on a GPU."""
    cpu_threads: PositiveInt = 1
    """OpenMP threads of an engine that runs on a CPU; ignored on a GPU."""
    engine_args: dict[str, Any] = {}
    """Further `vllm.AsyncEngineArgs`, e.g. enforce_eager, max_num_batched_tokens."""

    @field_validator("engine_args")
    @classmethod
    def _without_secrets(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        return checked_engine_args(arguments, _OWN_SERVING_ARGS, "serve.models.NAME")

    @model_validator(mode="after")
    def _replicas_are_whole(self) -> "ServedModelConfig":
        check_range("replicas", self.min_replicas, self.max_replicas)
        size = self.tensor_parallel_size * self.pipeline_parallel_size
        if self.gpus_per_replica not in (0, size):
            raise ValueError(
                f"gpus_per_replica {self.gpus_per_replica:g} is not tensor_parallel_size times pipeline_parallel_size; "
                f"{size}, or 0 for a CPU"
            )
        return self


class ServeConfig(Section):
    """Models behind an OpenAI-compatible URL."""

    models: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")], ServedModelConfig]
    """Name in requests → what it is."""
    host: str = "127.0.0.1"
    """Address to listen on. On any but a loopback one an API key is required."""
    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    api_key_env: str = "LONGSTRAP_API_KEY"
    """Name of the environment variable that holds the key which clients must send."""
    api_key_file: str | None = None
    """File with the key instead, as secrets are mounted."""
    max_body_bytes: PositiveInt = 64_000_000
    """A larger request is refused unread; a million tokens as numbers are 7 MB."""
    request_timeout_sec: PositiveFloat = 3600.0
    drain_timeout_sec: PositiveFloat = 60.0
    """Time for requests under way to end when the server is told to stop."""
    startup_timeout_sec: PositiveFloat = 1800.0
    """Time for all models to be loaded."""
    plan: bool = False
    """Only print weights, KV cache and what fits, and load nothing."""

    @field_validator("models")
    @classmethod
    def _not_empty(cls, models: dict[str, ServedModelConfig]) -> dict[str, ServedModelConfig]:
        if not models:
            raise ValueError("is empty; name at least one model `NAME: {model: …}`")
        return models
