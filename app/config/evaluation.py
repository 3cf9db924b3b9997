"""Settings of the evaluation and its suites."""

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from app.config.checks import check_placeholders, checked_list, checked_url, placeholders
from app.config.section import OPERATIONAL, NonNegativeCount, Section


class EvaluatedModelConfig(Section):
    """One model that is asked."""

    tokenizer: str | None = None
    """Model or folder whose tokenizer and chat template make its prompts; left out: the one in `serve.models`."""
    revision: str | None = None


class NiahConfig(Section):
    """Needle in a haystack: a fact at a depth of a text, and the question for it."""

    lengths_tokens: list[PositiveInt] = [4096, 8192, 16384, 32768, 65536, 131072]
    depths_percent: list[Annotated[float, Field(ge=0.0, le=100.0)]] = [
        0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0,
    ]  # fmt: skip
    """Where the needle stands; of several needles the first, while the others part the rest evenly."""
    num_trials: PositiveInt = 1
    """Prompts of a cell, each with other needles."""
    introduction: str = "Read the following text. I will ask you about it afterwards."
    """Stands before the haystack, the same for all prompts."""
    needles: list[str] = ["One of the special magic numbers for {key} is: {value}."]
    """Sentences with {key} and {value}, which are drawn anew for each trial, or without them."""
    num_needles: Annotated[int, Field(ge=1, le=64)] | None = None
    """Left out: one of each; more than there are: the same sentences with other keys and values."""
    question: str = "What is the special magic number for {keys} mentioned in the provided text?"
    """{keys}: those of all needles. With {key} instead, only the first needle is asked for."""
    answer_prefix: str = "The special magic number for {keys} mentioned in the provided text is"
    """What the reply begins with, put there for the model; empty: nothing."""
    references: list[str] = ["{value}"]
    """What a right reply holds: those with {key} or {value} once for each needle that is asked for."""
    haystack: str | None = None
    """Text file, folder or glob; left out: the bundled public-domain sample."""
    max_output_tokens: PositiveInt = 64

    @field_validator("lengths_tokens", "depths_percent", "needles", "references")
    @classmethod
    def _not_empty(cls, values: list[Any]) -> list[Any]:
        return checked_list(values)

    @property
    def asks_for_first_alone(self) -> bool:
        """Whether the question is for the first needle, among others."""
        wanted = placeholders(self.question)
        return bool(wanted) and "keys" not in wanted

    @model_validator(mode="after")
    def _placeholders_are_filled(self) -> "NiahConfig":
        check_placeholders("introduction", self.introduction, set())
        for needle in self.needles:
            check_placeholders("needles", needle, {"key", "value"})
        asked = self.needles[:1] if self.asks_for_first_alone else self.needles
        drawn = {name for needle in asked for name in placeholders(needle)}
        known = drawn | {"keys"} if "key" in drawn else drawn
        for field, text in (("question", self.question), ("answer_prefix", self.answer_prefix)):
            check_placeholders(field, text, {"key", "value", "keys"})
            if not placeholders(text) <= known:
                raise ValueError(
                    f"{field} {text!r} asks for what no needle has; give one that fits the needles"
                )
        for reference in self.references:
            check_placeholders("references", reference, {"key", "value"})
            if not placeholders(reference) <= drawn:
                raise ValueError(f"references {reference!r} is what no needle has; give the right answers")
        return self

    @model_validator(mode="after")
    def _needles_differ(self) -> "NiahConfig":
        num_sentences, num_needles = len(self.needles), self.num_needles or len(self.needles)
        if num_needles < num_sentences:
            raise ValueError(
                f"num_needles {num_needles} is below the {num_sentences} of needles; leave it out"
            )
        if num_needles > num_sentences and not all(map(placeholders, self.needles)):
            raise ValueError(
                f"num_needles {num_needles} would repeat a needle without {{key}} or {{value}}; leave it out"
            )
        return self


class RulerConfig(Section):
    """RULER's 13 tasks (arXiv 2404.06654, as in NVIDIA/RULER)."""

    lengths_tokens: list[PositiveInt] = [4096, 8192, 16384, 32768, 65536, 131072]
    tasks: list[str] = []
    """Of the 13; empty: all."""
    num_samples: PositiveInt = 500
    """Of each task and length."""
    data: str | None = None
    """Folder with squad.json, hotpotqa.json, PaulGrahamEssays.json or word lists; what it has not got, or all, is what
    `python -m app.models.bundled ruler` has put into the cache."""
    haystack: str | None = None
    """Own text (file, folder or glob) instead of the essays; its scores are not comparable with published ones."""

    @field_validator("lengths_tokens")
    @classmethod
    def _not_empty(cls, values: list[Any]) -> list[Any]:
        return checked_list(values)


class ShortConfig(Section):
    """Short tasks, by lm-eval: what a stage cost."""

    tasks: list[str] = []
    """lm-eval's names, e.g. ifeval, leaderboard_mmlu_pro; empty: the bundled set, which needs no download."""
    num_samples: PositiveInt | None = None
    """Of each task; left out: all."""


class RecallConfig(Section):
    """Does the answer follow the context, or what the model remembers?"""

    lengths_tokens: list[PositiveInt] = [4096]
    num_samples: PositiveInt = 50
    """Questions of each of the two kinds, facts and chains, each asked with the true context, with a changed one, and
    without any."""
    haystack: str | None = None
    """Text file, folder or glob; left out: speeches and a novel of the bundled public-domain sample."""
    max_output_tokens: PositiveInt = 48

    @field_validator("lengths_tokens")
    @classmethod
    def _not_empty(cls, values: list[Any]) -> list[Any]:
        return checked_list(values)


class EvaluateConfig(Section):
    """Questions to models behind an OpenAI-compatible URL."""

    url: Annotated[str | None, Field(json_schema_extra=OPERATIONAL)] = None
    """Of the endpoint, with /v1; left out: the models of `serve` are served for as long as it takes."""
    api_key_env: Annotated[str, Field(json_schema_extra=OPERATIONAL)] = "LONGSTRAP_API_KEY"
    """Name of the environment variable that holds the key; unset: none is sent."""
    models: dict[str, EvaluatedModelConfig] = {}
    """Name at the endpoint → whose tokenizer; empty: all of `serve.models`. The first one is what the others are
    compared with."""
    suites: Annotated[
        list[Literal["niah", "ruler", "short", "recall"]], Field(json_schema_extra=OPERATIONAL)
    ] = ["niah", "ruler"]
    template: Literal["chat", "base"] = "chat"
    """A chat turn of the model's own template, or the bare text, for a model without one."""
    api: Literal["completions", "chat"] = "completions"
    """completions: the prompt's tokens are sent, and exactly they are read. chat: for endpoints that have nothing
    else; the answer prefix goes along as the begun reply."""
    num_concurrent_requests: Annotated[PositiveInt, Field(json_schema_extra=OPERATIONAL)] = 16
    request_timeout_sec: Annotated[PositiveFloat, Field(json_schema_extra=OPERATIONAL)] = 3600.0
    num_retries: Annotated[NonNegativeCount, Field(json_schema_extra=OPERATIONAL)] = 5
    """Of one request that finds the endpoint away or full, with growing pauses."""
    failures_count_as_wrong: Annotated[bool, Field(json_schema_extra=OPERATIONAL)] = False
    """Score a request that failed for good as a wrong answer; otherwise there is no score until it is answered."""
    num_generation_workers: Annotated[PositiveInt | None, Field(json_schema_extra=OPERATIONAL)] = None
    """Processes that make samples; left out: one a core."""
    niah: NiahConfig = NiahConfig()
    ruler: RulerConfig = RulerConfig()
    short: ShortConfig = ShortConfig()
    recall: RecallConfig = RecallConfig()

    @field_validator("url")
    @classmethod
    def _is_url_without_secrets(cls, url: str | None) -> str | None:
        return None if url is None else checked_url(url)
