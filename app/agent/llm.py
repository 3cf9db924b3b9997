"""The protocols of what answers calls, and of what scores texts."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from app.schema import Message

FIRST_PRIORITY, FILLING_PRIORITY = 0, 1
"""Calls that a row waits for alone, and those that it asks side by side with many others. The latter are most of the
work and fill the engine meanwhile; put last, they leave few chains of calls for the end of a run."""


@dataclass(frozen=True, slots=True)
class LlmCall:
    """One chat completion that a step of the workflow requests."""

    step: str
    """Step of the workflow, for counters and rejects."""
    messages: tuple[Message, ...]
    max_output_tokens: int
    random_seed: int
    """Seed of the sampling; a retry has another."""
    opening: str = ""
    """First words of the reply, given to the model as already said; the reply's text holds them too."""
    json_schema: dict[str, Any] | None = None
    """When given, the text is JSON of this schema."""
    priority: int = FIRST_PRIORITY
    """The lower, the sooner; changes nothing about the answer."""

    @property
    def key(self) -> str:
        """Content hash: two calls with one key have the same answer."""
        return _hash({name: value for name, value in asdict(self).items() if name != "priority"})


@dataclass(frozen=True, slots=True)
class LlmReply:
    """Reply to a call."""

    text: str
    finish_reason: str
    """`stop`, or `length` when max_output_tokens cut the text; a generator raises LlmError for any other."""
    num_prompt_tokens: int
    num_output_tokens: int
    num_cached_tokens: int = 0
    """Prompt tokens that the engine's prefix cache served."""
    thought: str = ""
    """What a reasoning model thought, where the endpoint tells it apart from the text; nothing is made of it."""


@dataclass(frozen=True, slots=True)
class ScoreCall:
    """A reply whose likelihood after a chat is asked for; nothing is generated."""

    step: str
    """Step of the workflow, for counters."""
    messages: tuple[Message, ...]
    text: str
    """The reply, as it stands."""

    @property
    def key(self) -> str:
        """Content hash: two calls with one key have the same score."""
        return _hash(asdict(self))


@dataclass(frozen=True, slots=True)
class Score:
    """How likely a text is after its prompt."""

    log_likelihood: float
    """Mean log probability of the text's tokens, in nats."""
    num_tokens: int
    """Tokens of the text."""
    num_prompt_tokens: int
    """Tokens that were read: the prompt's and the text's."""
    num_output_tokens: int = 0
    num_cached_tokens: int = 0

    @classmethod
    def of(cls, log_probs: Sequence[float], num_prompt_tokens: int) -> "Score":
        """The score of a text with these log probabilities, one for each of its tokens."""
        return cls(sum(log_probs) / len(log_probs), len(log_probs), num_prompt_tokens)


class LlmError(RuntimeError):
    """A call that failed for this row alone: timed out, refused, over-long. Worth another try.

    Args:
        reason: Short and countable.
        detail: The words of the engine or the endpoint.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.detail = detail


class CannotScoreError(RuntimeError):
    """What answers calls does not tell how likely a given text is, now and later."""


class EngineDeadError(RuntimeError):
    """The generator's engine died. Every call in flight is lost, through no fault of the caller."""


def ask_for_opening(messages: Sequence[Message], opening: str) -> list[Message]:
    """The messages of a call whose reply is asked to begin so, for models that cannot be made to."""
    last = messages[-1]
    asked = f'{last["content"]}\n\nBegin with "{opening}".' if opening else last["content"]
    return [*messages[:-1], {"role": last["role"], "content": asked}]


class Generator(Protocol):
    """Answers chat calls; many at once."""

    async def __call__(self, call: LlmCall) -> LlmReply:
        """Answer one call.

        Raises:
            LlmError: This call failed; others may go on.
        """
        ...


class Scorer(Protocol):
    """Tells how likely a given reply is; many at once."""

    async def score(self, call: ScoreCall) -> Score:
        """Score one reply.

        Raises:
            LlmError: This call failed; others may go on.
            CannotScoreError: No call can be scored.
        """
        ...


class Engine(Generator, Scorer, Protocol):
    """Answers calls and scores replies."""

    async def close(self) -> None:
        """Give back what it holds."""
        ...


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
