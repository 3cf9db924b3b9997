"""Asks until the reply is usable, within limits. A failure becomes the reason for rejecting the row."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from app.agent.llm import FIRST_PRIORITY, Generator, LlmCall, LlmError, LlmReply
from app.agent.parsing import MalformedReplyError

Parsed = TypeVar("Parsed")

_SEED_STRIDE = 1_000_003
_SEED_LIMIT = 2**31


@dataclass
class StepFailedError(Exception):
    """A step of one row's workflow gave up."""

    step: str
    reason: str
    detail: str = ""


async def ask(
    generate: Generator, call: LlmCall, parse: Callable[[LlmReply], Parsed], max_attempts: int
) -> Parsed:
    """Answer of one call, parsed; each further attempt samples with another seed, and before calls asked first.

    Raises:
        StepFailedError: No attempt gave a usable reply; carries the last one's reason.
    """
    failure = StepFailedError(call.step, "no attempt")
    for attempt in range(max_attempts):
        attempted = replace(
            call,
            random_seed=(call.random_seed + attempt * _SEED_STRIDE) % _SEED_LIMIT,
            priority=FIRST_PRIORITY if attempt else call.priority,
        )
        try:
            reply = await generate(attempted)
        except LlmError as error:
            failure = StepFailedError(call.step, str(error))
            continue
        try:
            return parse(reply)
        except MalformedReplyError as error:
            failure = StepFailedError(call.step, str(error), reply.text[:500])
    raise failure
