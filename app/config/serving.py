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
"""Engine arguments that have a setting of their own: vLLM's name → ours."""


class ServedModelConfig(Section):
    """One served model. Requests name it by its key in `serve.models`."""

    model: str
    """Hub name, local, s3:// or gs:// folder, bundled:NAME, or stage:NAME for the export of one of the run's stages."""
    revision: str | None = None
    max_model_tokens: PositiveInt | None = None
    """Longest prompt and answer together. If omitted, what the checkpoint's RoPE settings allow; more than that is
    refused, unless `beyond_limit` is set."""
    beyond_limit: bool = False
    """Whether `max_model_tokens` may be more than the checkpoint's RoPE settings allow. It shows where the context of a
    model ends; answers beyond the limit get worse."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    kv_cache_dtype: Literal["auto", "fp8"] = "auto"
    """`fp8` halves the memory of a long context; `auto` takes the dtype of the weights."""
    tensor_parallel_size: PositiveInt = 1
    pipeline_parallel_size: PositiveInt = 1
    min_replicas: PositiveInt = 1
    max_replicas: PositiveInt = 1
    """Most replicas. If above `min_replicas`, the number of replicas follows the load."""
    max_concurrent_requests: PositiveInt = 64
    """Most requests that the engine of one replica processes at once."""
    max_queued_requests: PositiveInt = 256
    """Most requests that wait for a replica. Any more are answered with HTTP 429."""
    cpus_per_replica: PositiveFloat = 1.0
    gpus_per_replica: Annotated[float, Field(ge=0)] = 0.0
    """GPUs per replica: tensor_parallel_size times pipeline_parallel_size, or 0 for an engine on a CPU."""
    device_memory_gib: PositiveFloat | None = None
    """Memory of one device, for the plan. If omitted, this machine's, provided the job starts its own local Ray."""
    memory_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    """Share of a device's memory that the engine may take."""
    cpu_kv_cache_gib: PositiveInt = 2
    """KV cache size of an engine on a CPU. Ignored on a GPU."""
    cpu_threads: PositiveInt = 1
    """OpenMP threads of an engine on a CPU. Ignored on a GPU."""
    engine_args: dict[str, Any] = {}
    """Other `vllm.AsyncEngineArgs`, e.g. enforce_eager, max_num_batched_tokens."""

    @field_validator("engine_args")
    @classmethod
    def _without_secrets(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        return checked_engine_args(arguments, _OWN_SERVING_ARGS, "serve.models.NAME")

    @model_validator(mode="after")
    def _length_is_given(self) -> "ServedModelConfig":
        if self.beyond_limit and self.max_model_tokens is None:
            raise ValueError("beyond_limit needs max_model_tokens; give the length to serve")
        return self

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
    """Models served at one OpenAI-compatible URL."""

    models: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")], ServedModelConfig]
    """Models to serve, by the name that requests use."""
    host: str = "127.0.0.1"
    """Address to listen on. Any address but loopback requires an API key."""
    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    api_key_env: str = "LONGSTRAP_API_KEY"
    """Name of the environment variable with the key that clients must send."""
    api_key_file: str | None = None
    """File with the key, instead of a variable; for mounted secrets."""
    max_body_bytes: PositiveInt = 64_000_000
    """Largest request body; a larger one is refused unread. A million token ids take 7 MB."""
    max_all_bodies_bytes: PositiveInt = 1_000_000_000
    """Largest size of all request bodies in memory together; a request beyond it gets HTTP 503."""
    body_timeout_sec: PositiveFloat = 120.0
    """How long a request's body may take to arrive."""
    max_sequences_per_request: PositiveInt = 64
    """Most sequences (prompts times `n`) in one request. Each sequence takes one place in the queue."""
    request_timeout_sec: PositiveFloat = 3600.0
    drain_timeout_sec: PositiveFloat = 60.0
    """How long running requests may take to finish once the server is told to stop."""
    startup_timeout_sec: PositiveFloat = 1800.0
    """How long loading all models may take."""
    plan: bool = False
    """Only print the size of weights and KV cache and what fits; load nothing."""

    @field_validator("models")
    @classmethod
    def _not_empty(cls, models: dict[str, ServedModelConfig]) -> dict[str, ServedModelConfig]:
        if not models:
            raise ValueError("is empty; name at least one model `NAME: {model: …}`")
        return models
