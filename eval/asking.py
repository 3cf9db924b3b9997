"""The request for a sample: tokens for completions, messages for chats."""

from typing import Any, Literal

from app.config import EvaluateConfig
from app.endpoints.client import Api
from app.endpoints.models import EndpointModel
from eval.samples import Sample

PrefixWay = Literal["continue", "flag", "none"]
"""How a chat holds the start of the reply; see `EvaluateConfig.answer_prefix`."""
_CONTINUING = {"vllm", "longstrap"}
"""Servers, by the owner that their /models give, which know `continue_final_message`."""
LEAST_READ_SHARE = 0.9
"""Endpoints count chats by their own template and tokenizer, so that a whole prompt may have fewer tokens there."""
SLACK_TOKENS = 64
"""The same for templates and short prompts."""


def prefix_way(settings: EvaluateConfig, listed: EndpointModel | None) -> PrefixWay | None:
    """How the answer prefix is sent; None: as tokens of the prompt.

    Args:
        settings: The evaluation's settings.
        listed: What the endpoint's /models says of the model.
    """
    if settings.api == "completions":
        return None
    if settings.answer_prefix != "auto":
        return settings.answer_prefix
    continues = listed is not None and listed.owner in _CONTINUING
    return "continue" if continues and not settings.sampling.thinking_tokens else "none"


def describe_way(way: PrefixWay | None) -> str | None:
    """What a report says of the way; None: prompts were sent exactly as they are."""
    if way is None:
        return None
    start = {
        "continue": "with the start of the reply as a begun reply (continue_final_message)",
        "flag": "with the start of the reply as a begun reply (prefix: true)",
        "none": "without the start of the reply that the tasks give",
    }
    return f"Prompts were sent as chats, in the endpoint's own template, {start[way]}."


def limit_tokens(settings: EvaluateConfig, sample: Sample) -> int:
    """Most tokens of the reply, thought included."""
    return sample.max_output_tokens + settings.sampling.thinking_tokens


def request_of(
    settings: EvaluateConfig, model: str, sample: Sample, way: PrefixWay | None
) -> tuple[Api, dict[str, Any]]:
    """The API and the arguments of the request.

    Args:
        settings: The evaluation's settings.
        model: Name of the model at the endpoint.
        sample: What is asked.
        way: Of `prefix_way`.
    """
    arguments = request_arguments(settings, model, limit_tokens(settings, sample))
    if way is None:
        return "completions", arguments | {"prompt": sample.token_ids.tolist()}
    arguments["messages"] = _messages(sample, way)
    if way == "continue" and sample.answer_prefix:
        extra = {"continue_final_message": True, "add_generation_prompt": False}
        arguments["extra_body"] = arguments.get("extra_body", {}) | extra
    return "chat", arguments


def request_arguments(settings: EvaluateConfig, model: str, num_output_tokens: int) -> dict[str, Any]:
    """Arguments of any request, without what is asked."""
    sampling = settings.sampling
    arguments: dict[str, Any] = {"model": model, sampling.max_tokens_name: num_output_tokens}
    if sampling.temperature is not None:
        arguments["temperature"] = sampling.temperature
    if sampling.top_p is not None:
        arguments["top_p"] = sampling.top_p
    extra = dict(sampling.extra_body)
    if settings.api == "chat" and sampling.template_arguments:
        extra["chat_template_kwargs"] = sampling.template_arguments
    if extra:
        arguments["extra_body"] = extra
    return arguments


def without_prefix(text: str, sample: Sample, way: PrefixWay | None) -> str:
    """The reply alone, where an endpoint repeats the start that it was given."""
    prefix = sample.answer_prefix.strip()
    if way in ("continue", "flag") and prefix:
        return text.removeprefix(sample.answer_prefix).removeprefix(prefix)
    return text


def least_read_tokens(sample: Sample) -> int:
    """Fewer tokens of a chat show that the endpoint cut it."""
    return int(LEAST_READ_SHARE * len(sample.token_ids)) - SLACK_TOKENS


def _messages(sample: Sample, way: PrefixWay) -> list[dict[str, Any]]:
    asked: list[dict[str, Any]] = [
        {"role": message["role"], "content": message["content"]} for message in sample.history
    ]
    asked.append({"role": "user", "content": sample.content})
    if way != "none" and sample.answer_prefix:
        begun: dict[str, Any] = {"role": "assistant", "content": sample.answer_prefix}
        asked.append(begun | {"prefix": True} if way == "flag" else begun)
    return asked
