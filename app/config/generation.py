"""Settings of the generator: a vLLM engine of the job's own, or an OpenAI-compatible endpoint."""

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from app.config.checks import OWN_ENGINE_ARGS, checked_engine_args, checked_url
from app.config.section import OPERATIONAL, NonNegativeCount, Section


class SamplingConfig(Section):
    """How every step of the agent samples."""

    temperature: Annotated[float, Field(ge=0.0)] = 0.7
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 0.95
    repetition_penalty: PositiveFloat = 1.0


class GeneratorSection(Section):
    model: str
    """vLLM: hub name, local, s3:// or gs:// folder, bundled:smollm2-135m-instruct. OpenAI: its name."""
    revision: str | None = None
    max_model_tokens: PositiveInt = 8192
    """The generator's context: prompt and answer of one call."""
    sampling: SamplingConfig = SamplingConfig()
    max_concurrent_calls: Annotated[PositiveInt, Field(json_schema_extra=OPERATIONAL)] = 256
    """Calls in flight at once from one agent actor."""
    call_timeout_sec: Annotated[PositiveFloat, Field(json_schema_extra=OPERATIONAL)] = 600.0
    max_attempts: PositiveInt = 3
    """Times one call is tried when it times out, fails, or answers in the wrong form."""


class VllmConfig(GeneratorSection):
    """A vLLM engine inside each agent actor; it serves all steps of many rows at once."""

    type: Literal["vllm"] = "vllm"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    tensor_parallel_size: Annotated[PositiveInt, Field(json_schema_extra=OPERATIONAL)] = 1
    cpu_kv_cache_gib: Annotated[PositiveInt, Field(json_schema_extra=OPERATIONAL)] = 2
    """KV cache of an engine that runs on a CPU; ignored on a GPU."""
    cpu_threads: Annotated[PositiveInt, Field(json_schema_extra=OPERATIONAL)] = 1
    """OpenMP threads of an engine that runs on a CPU; ignored on a GPU."""
    engine_args: Annotated[dict[str, Any], Field(json_schema_extra=OPERATIONAL)] = {}
    """Further `vllm.AsyncEngineArgs`, e.g. gpu_memory_utilization, kv_cache_dtype, enforce_eager."""
    max_engine_restarts: Annotated[NonNegativeCount, Field(json_schema_extra=OPERATIONAL)] = 3
    """Times an actor starts a dead engine anew before it gives up."""

    @field_validator("engine_args")
    @classmethod
    def _without_secrets(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        return checked_engine_args(arguments, OWN_ENGINE_ARGS, "generator")


class OpenAiConfig(GeneratorSection):
    """Any OpenAI-compatible endpoint."""

    type: Literal["openai"] = "openai"
    base_url: Annotated[str, Field(json_schema_extra=OPERATIONAL)]
    api_key_env: Annotated[str, Field(json_schema_extra=OPERATIONAL)] = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key."""
    num_retries: Annotated[NonNegativeCount, Field(json_schema_extra=OPERATIONAL)] = 6
    """Retries, with growing pauses, while the endpoint is away or its rate limit is reached; then the job stops."""
    tokenizer: str
    """Model or folder whose tokenizer counts the endpoint's tokens."""

    @field_validator("base_url")
    @classmethod
    def _is_url_without_secrets(cls, url: str) -> str:
        return checked_url(url)

    @model_validator(mode="after")
    def _knows_its_sampling(self) -> "OpenAiConfig":
        if self.sampling.repetition_penalty != 1.0:
            raise ValueError(
                f"sampling.repetition_penalty {self.sampling.repetition_penalty} is unknown to OpenAI's interface; "
                f"leave it out"
            )
        return self


GeneratorConfig = Annotated[VllmConfig | OpenAiConfig, Field(discriminator="type")]
