"""Settings of the evaluation: which models, how they write, which suites."""

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from app.config.checks import SomeDistinct, checked_url, refuse_secrets
from app.config.question_files import AalcrConfig, HelmetConfig, LongbenchConfig, MineConfig, Ruler2Config
from app.config.section import OPERATIONAL, NonNegativeCount, Section, Share
from app.config.suites import (
    BabilongConfig,
    GraphWalksConfig,
    MrcrConfig,
    NiahConfig,
    NolimaConfig,
    RecallConfig,
    RulerConfig,
    ShortConfig,
)

SuiteName = Literal[
    "niah", "ruler", "short", "recall", "mrcr", "graphwalks", "babilong", "nolima", "longbench", "helmet", "aalcr",
    "ruler2", "mine",
]  # fmt: skip


class EvaluatedModelConfig(Section):
    """A model to evaluate."""

    tokenizer: str | None = None
    """Model or folder whose tokenizer and chat template build the prompts. If omitted, the model's entry in
    `serve.models`."""
    revision: str | None = None
    max_tokens: Annotated[PositiveInt | None, Field(json_schema_extra=OPERATIONAL)] = None
    """Longest prompt and answer that the endpoint takes; longer samples are not asked. If omitted, what the endpoint's
    /models says, or else no limit is known and the endpoint refuses what it cannot read."""


class EvaluateSamplingConfig(Section):
    """How the evaluated models write. The default is greedy, as in published results."""

    temperature: Annotated[float, Field(ge=0.0)] | None = 0.0
    """`null`: none is sent, for endpoints that refuse it."""
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    """If omitted, none is sent."""
    thinking_tokens: NonNegativeCount = 0
    """Tokens for a reasoning model's thought, in addition to each task's own output tokens and to its length. After a
    change, replies that were cut are asked again, and all others are kept."""
    max_tokens_name: Annotated[
        Literal["max_tokens", "max_completion_tokens"], Field(json_schema_extra=OPERATIONAL)
    ] = "max_tokens"
    """Name of the limit in a chat request. Some endpoints refuse `max_tokens`."""
    template_arguments: dict[str, Any] = {}
    """Arguments of the chat template, e.g. {enable_thinking: false}. With `api: chat` they are sent as
    `chat_template_kwargs`."""
    extra_body: dict[str, Any] = {}
    """More fields for every request, e.g. {reasoning_effort: low}."""

    @field_validator("template_arguments", "extra_body")
    @classmethod
    def _holds_no_secrets(cls, values: dict[str, Any]) -> dict[str, Any]:
        return refuse_secrets(values)


class EvaluateConfig(Section):
    """Evaluation of models at an OpenAI-compatible URL."""

    url: Annotated[str | None, Field(json_schema_extra=OPERATIONAL)] = None
    """URL of the endpoint, with /v1. If omitted, the models of `serve` are served for the duration of the
    evaluation."""
    api_key_env: Annotated[str, Field(json_schema_extra=OPERATIONAL)] = "LONGSTRAP_API_KEY"
    """Name of the environment variable that holds the key. If that variable is unset, no key is sent."""
    models: dict[str, EvaluatedModelConfig] = {}
    """Models to evaluate, by their names at the endpoint. Empty: all of `serve.models`. The others are compared with
    the first one."""
    suites: Annotated[SomeDistinct[SuiteName], Field(json_schema_extra=OPERATIONAL)] = ["niah", "ruler"]
    template: Literal["chat", "base"] = "chat"
    """`chat`: prompts use the model's chat template. `base`: prompts are plain text, for a model without a template."""
    api: Literal["completions", "chat"] = "completions"
    """`completions`: token ids are sent, so the model reads exactly those. `chat`: messages are sent, for endpoints
    without completions and for reasoning models; the endpoint puts its own chat template around them."""
    answer_prefix: Literal["auto", "continue", "flag", "none"] = "auto"
    """How `api: chat` sends the start of the reply that a task gives. `continue`: as a begun assistant message with
    `continue_final_message` (vLLM, SGLang). `flag`: as one with `prefix: true` (DeepSeek, Mistral). `none`: not at all;
    reasoning models need this, as a begun reply leaves no room for thought. `auto`: `continue` for vLLM and `longstrap
    serve` when there is no thinking budget, otherwise `none`. The report says which was used."""
    sampling: EvaluateSamplingConfig = EvaluateSamplingConfig()
    num_concurrent_requests: Annotated[PositiveInt, Field(json_schema_extra=OPERATIONAL)] = 16
    request_timeout_sec: Annotated[PositiveFloat, Field(json_schema_extra=OPERATIONAL)] = 3600.0
    num_retries: Annotated[NonNegativeCount, Field(json_schema_extra=OPERATIONAL)] = 5
    """Retries of a request, with growing pauses, while the endpoint is unreachable or overloaded."""
    failures_count_as_wrong: Annotated[bool, Field(json_schema_extra=OPERATIONAL)] = False
    """Score a request that finally failed as a wrong answer. Otherwise there is no score until it is answered."""
    min_answered_share: Annotated[Share, Field(json_schema_extra=OPERATIONAL)] = 0.5
    """Exit with an error if a model answered less than this share of a suite's requests, or none. Replies without any
    text are no answers. The report is written in any case."""
    num_generation_workers: Annotated[PositiveInt | None, Field(json_schema_extra=OPERATIONAL)] = None
    """Processes that generate samples. If omitted, one per core."""
    show: Annotated[str | None, Field(json_schema_extra=OPERATIONAL)] = None
    """Print prompt, reply, reference and score of this sample (a `sample_id` of the records), and ask nothing."""
    niah: NiahConfig = NiahConfig()
    ruler: RulerConfig = RulerConfig()
    short: ShortConfig = ShortConfig()
    recall: RecallConfig = RecallConfig()
    mrcr: MrcrConfig = MrcrConfig()
    graphwalks: GraphWalksConfig = GraphWalksConfig()
    babilong: BabilongConfig = BabilongConfig()
    nolima: NolimaConfig = NolimaConfig()
    longbench: LongbenchConfig = LongbenchConfig()
    helmet: HelmetConfig = HelmetConfig()
    aalcr: AalcrConfig = AalcrConfig()
    ruler2: Ruler2Config = Ruler2Config()
    mine: MineConfig = MineConfig()

    @model_validator(mode="after")
    def _limit_has_a_name_that_the_api_knows(self) -> "EvaluateConfig":
        if self.api == "completions" and self.sampling.max_tokens_name != "max_tokens":
            raise ValueError(
                f"sampling.max_tokens_name {self.sampling.max_tokens_name} is a name in chat requests only; set "
                f"api chat"
            )
        return self

    @model_validator(mode="after")
    def _published_prompts_are_sent_as_tokens(self) -> "EvaluateConfig":
        if self.api == "chat" and self.ruler.protocol != "own":
            raise ValueError(
                f"ruler.protocol {self.ruler.protocol} is one of text completions; set api completions, or protocol own"
            )
        return self

    @field_validator("url")
    @classmethod
    def _is_url_without_secrets(cls, url: str | None) -> str | None:
        return None if url is None else checked_url(url)
