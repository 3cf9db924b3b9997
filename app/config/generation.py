"""Settings of the generator: the job's own vLLM engine, or an OpenAI-compatible endpoint."""

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from app.config.checks import OWN_ENGINE_ARGS, checked_engine_args, checked_url
from app.config.section import OPERATIONAL, NonNegativeCount, Section


class SamplingConfig(Section):
    """Sampling parameters for every step of the agent."""

    temperature: Annotated[float, Field(ge=0.0)] = 0.7
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 0.95
    repetition_penalty: PositiveFloat = 1.0


class GeneratorSection(Section):
    model: str
    """With vLLM: hub name, local, s3:// or gs:// folder, or bundled:smollm2-135m-instruct. With OpenAI: the model's
    name."""
    revision: str | None = None
    max_model_tokens: PositiveInt = 8192
    """Context length of the generator: prompt and answer of one call together."""
    sampling: SamplingConfig = SamplingConfig()
    max_concurrent_calls: Annotated[PositiveInt, Field(json_schema_extra=OPERATIONAL)] = 256
    """Most calls that one agent actor has in flight at once."""
    call_timeout_sec: Annotated[PositiveFloat, Field(json_schema_extra=OPERATIONAL)] = 600.0
    max_attempts: PositiveInt = 3
    """Most attempts of one call that times out, fails, or gets a malformed reply."""
    chat_template_args: dict[str, Any] = {}
    """Arguments of the generator's chat template, e.g. {enable_thinking: false}. An endpoint gets them as
    `chat_template_kwargs`, which vLLM and SGLang know."""
    thinking_tokens: NonNegativeCount = 0
    """Tokens for the thoughts of a reasoning model in each call, beside those of the step's reply. Thoughts stay in the
    journal of calls and never reach a text."""

    @property
    def call_tokens(self) -> int:
        """Context left for the prompt and the reply of one call."""
        return self.max_model_tokens - self.thinking_tokens

    @field_validator("chat_template_args")
    @classmethod
    def _leaves_our_own(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        for name in ("conversation", "messages", "tokenize", "add_generation_prompt", "chat_template"):
            if name in arguments:
                raise ValueError(f"holds {name}, which is set for each call; leave it out")
        return arguments


class VllmConfig(GeneratorSection):
    """A vLLM engine inside each agent actor. It serves all steps of many rows at once."""

    type: Literal["vllm"] = "vllm"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    tensor_parallel_size: Annotated[PositiveInt, Field(json_schema_extra=OPERATIONAL)] = 1
    cpu_kv_cache_gib: Annotated[PositiveInt, Field(json_schema_extra=OPERATIONAL)] = 2
    """KV cache size of an engine on a CPU. Ignored on a GPU."""
    cpu_threads: Annotated[PositiveInt, Field(json_schema_extra=OPERATIONAL)] = 1
    """OpenMP threads of an engine on a CPU. Ignored on a GPU."""
    engine_args: Annotated[dict[str, Any], Field(json_schema_extra=OPERATIONAL)] = {}
    """Other `vllm.AsyncEngineArgs`, e.g. gpu_memory_utilization, kv_cache_dtype, enforce_eager."""
    max_engine_restarts: Annotated[NonNegativeCount, Field(json_schema_extra=OPERATIONAL)] = 3
    """How often an actor restarts a dead engine before it gives up."""

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
    """Retries, with growing pauses, while the endpoint is unreachable or rate-limits. After the last one the job
    stops."""
    sends_seed: Annotated[bool, Field(json_schema_extra=OPERATIONAL)] = True
    """Send a sampling seed with each call. Set it to false for endpoints that refuse a seed or fail because of one,
    such as vLLM 0.29 on a CPU."""
    tokenizer: str
    """Model or folder with the tokenizer that counts the endpoint's tokens."""

    @field_validator("base_url")
    @classmethod
    def _is_url_without_secrets(cls, url: str) -> str:
        return checked_url(url)

    @model_validator(mode="after")
    def _knows_its_sampling(self) -> "OpenAiConfig":
        if self.sampling.repetition_penalty != 1.0:
            raise ValueError(
                f"sampling.repetition_penalty {self.sampling.repetition_penalty} is not part of OpenAI's API; "
                f"leave it out"
            )
        return self


GeneratorConfig = Annotated[VllmConfig | OpenAiConfig, Field(discriminator="type")]
