"""Models behind the front that say what a test wants, and remember what they were asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from app.serving.replies import EVENT_STREAM, JSON, Message, Reply, RequestError

WHOLE = Reply(200, JSON, b'{"id": "1"}')
STREAM: list[Message] = [None, Reply(200, EVENT_STREAM, b"data: 1\n\n"), b"data: 2\n\n", b"data: [DONE]\n\n"]


@dataclass
class FakeBackend:
    """Gives `messages`; an event among them is waited for, an exception raised.

    An error that comes after the replica has taken the request is a message of the replica's, as it is sent.
    """

    messages: list[Message | Exception | asyncio.Event] = field(default_factory=lambda: [None, WHOLE])
    num_models_ready: int = 2
    asked: list[tuple[str, str, bytes]] = field(default_factory=list)
    num_left_early: int = 0

    @asynccontextmanager
    async def answer(self, model: str, call: str, body: bytes) -> AsyncIterator[AsyncIterator[Message]]:
        self.asked.append((model, call, body))
        is_over = False

        async def messages() -> AsyncIterator[Message]:
            nonlocal is_over
            is_taken = False
            for message in self.messages:
                if isinstance(message, asyncio.Event):
                    await message.wait()
                elif isinstance(message, Exception) and not (is_taken and isinstance(message, RequestError)):
                    is_over = True
                    raise message
                else:
                    is_taken = True
                    yield message
            is_over = True

        try:
            yield messages()
        finally:
            self.num_left_early += not is_over

    async def num_ready(self) -> int:
        return self.num_models_ready

    async def engine_metrics(self) -> bytes:
        return b"ray_vllm_tokens 3\n"


FULL = RequestError(429, "the queue of base is full", code="rate_limit_exceeded", retry_after_sec=5)
