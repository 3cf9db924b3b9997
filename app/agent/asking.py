"""Asks until the reply is usable, within limits. A failure becomes the reason for rejecting the row."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from app.agent.llm import FIRST_PRIORITY, Generator, LlmCall, LlmError, LlmReply
from app.agent.parsing import MalformedReplyError, strip_thoughts

Parsed = TypeVar("Parsed")

_SEED_STRIDE = 1_000_003
_SEED_LIMIT = 2**31
MAX_DETAIL_CHARS = 500

logger = logging.getLogger(__name__)


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
            failure = StepFailedError(call.step, str(error), error.detail)
            continue
        try:
            return parse(replace(reply, text=strip_thoughts(reply.text)))
        except MalformedReplyError as error:
            failure = StepFailedError(call.step, str(error), reply.text[:MAX_DETAIL_CHARS])
        except Exception as error:
            # The journal would replay a reply that no parser foresaw at every start, and the run would never end.
            logger.exception("%s: the reply cannot be read", call.step)
            reason = f"unreadable reply ({type(error).__name__})"
            failure = StepFailedError(call.step, reason, reply.text[:MAX_DETAIL_CHARS])
    raise failure
