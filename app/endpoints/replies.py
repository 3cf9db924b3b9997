"""What an OpenAI-compatible endpoint answered, whatever it takes for an answer."""

from dataclasses import dataclass
from typing import Any, Literal

from app.faults import one_line
from app.secrets import mask

_STOPPED = {"stop", "eos", "eos_token", "end_turn", "stop_sequence"}
_CUT = {"length", "max_tokens", "model_length"}
FILTERED = "finish reason content_filter"
"""Reason of a `RequestError`: the endpoint has a reply and does not show it."""
MAX_DETAIL_CHARS = 300
MAX_REASON_CHARS = 40


class RequestError(Exception):
    """This request got no answer that can be used; others may.

    Args:
        reason: Short and countable.
        detail: What the endpoint said.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


@dataclass(frozen=True, slots=True)
class EndpointReply:
    """A reply that the model finished, or that the limit of its tokens cut."""

    text: str
    finish_reason: Literal["stop", "length"]
    num_prompt_tokens: int
    num_output_tokens: int
    num_cached_tokens: int
    """Prompt tokens from the endpoint's prefix cache; 0 where it does not say."""
    thought: str = ""
    """What a reasoning model thought before it wrote the text, where the endpoint tells it apart."""
    prompt_logprobs: list[tuple[float, float]] | None = None
    """Own log probability of each token and that of the likeliest one, where `echo` and `logprobs` were asked."""
    sec: float = 0.0
    """From the request to its last token, without pauses and earlier tries."""


def read_reply(completion: Any) -> EndpointReply:
    """Read the client's chat or text completion; its types are promised by nobody.

    Raises:
        RequestError: The shape is unknown, or the model was stopped by something else than its end or its limit.
    """
    if error := getattr(completion, "error", None):
        raise RequestError("error in place of a reply", _shown(error))
    if not getattr(completion, "choices", None) or getattr(completion, "usage", None) is None:
        raise RequestError("endpoint sent no choice or no usage", _shown(completion))
    try:
        choice, usage = completion.choices[0], completion.usage
        message = getattr(choice, "message", None)
        text = _text(choice.text if message is None else message.content)
        thought = _text(_thought_of(message))
        details = getattr(usage, "prompt_tokens_details", None)
        counts = (
            _count(usage.prompt_tokens),
            _count(usage.completion_tokens),
            _count(getattr(details, "cached_tokens", None) or 0),
        )
        # A word, by the books; a list could not even be looked up.
        finish_reason = str(choice.finish_reason)[:MAX_REASON_CHARS]
        logprobs = _logprobs_of(choice) if message is None else None
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise RequestError("reply of an unknown shape", _shown(error)) from None
    if finish_reason in _CUT:
        return EndpointReply(text, "length", *counts, thought, logprobs)
    if finish_reason not in _STOPPED:
        raise RequestError(f"finish reason {finish_reason}", text[:MAX_DETAIL_CHARS])
    return EndpointReply(text, "stop", *counts, thought, logprobs)


def _logprobs_of(choice: Any) -> list[tuple[float, float]] | None:
    """Of the first token nothing is known, as nothing stands before it."""
    found = getattr(choice, "logprobs", None)
    own, best = getattr(found, "token_logprobs", None), getattr(found, "top_logprobs", None)
    if not own or not best:
        return None
    return [
        (0.0, 0.0)
        if score is None
        else (float(score), max(map(float, (top or {}).values()), default=float(score)))
        for score, top in zip(own, best, strict=True)
    ]


def _count(value: Any) -> int:
    """A number of tokens; JSON may hold any, `1e999` among them."""
    number = int(value)
    if number < 0:
        raise ValueError(f"{number} tokens")
    return number


def _thought_of(message: Any) -> Any:
    """vLLM, SGLang and DeepSeek call it `reasoning_content`; newer servers and OpenRouter `reasoning`."""
    found = (getattr(message, name, None) for name in ("reasoning_content", "reasoning"))
    return next((thought for thought in found if isinstance(thought, str) and thought), None)


def _text(content: Any) -> str:
    """The text of a content, which may come in parts; nothing is an empty text."""
    if isinstance(content, list):
        parts = [part if isinstance(part, dict) else vars(part) for part in content]
        if any(part.get("type", "text") != "text" for part in parts):
            raise TypeError("the content has parts that are no text")
        content = "".join(part["text"] for part in parts)
    if content is not None and not isinstance(content, str):
        raise TypeError(f"the content is a {type(content).__name__}")
    # An endpoint may cut an answer inside an escaped pair of surrogates; half of one can't be stored.
    return (content or "").encode("utf-8", "replace").decode("utf-8")


def _shown(value: Any) -> str:
    return mask(one_line(value if isinstance(value, Exception) else Exception(value)))[:MAX_DETAIL_CHARS]
