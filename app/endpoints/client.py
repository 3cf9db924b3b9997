"""The one way to ask an OpenAI-compatible endpoint; it knows whose fault it is when no answer comes."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Literal

import openai

from app.endpoints.models import EndpointModel, read_models
from app.endpoints.refusals import Refusal, Whose, classify
from app.endpoints.replies import EndpointReply, RequestError, read_reply
from app.faults import UserError
from app.quantities import duration
from app.secrets import mask

FIRST_PAUSE_SEC = 1.0
MAX_OWN_PAUSE_SEC = 60.0
MAX_ASKED_PAUSE_SEC = 3600.0
"""Longer ones stop the job: nobody wants to pay for machines that wait a day."""
PATIENCE = 20
"""Times the retries that a request over the rate limit is tried while others are answered."""
NUM_PROBE_TOKENS = 4
_OF_THE_ACCOUNT = {401, 402}
"""Statuses that no other request would change."""
RESUMES = "finished answers are kept, and the same command resumes from there"

Api = Literal["chat", "completions"]


@dataclass(frozen=True, slots=True)
class EndpointFields:
    """The settings that say how an endpoint is asked, for what the user is told."""

    url: str
    """For example `generator.base_url`."""
    model: str
    key: str
    key_env: str
    """The variable with the key."""
    timeout: str


class EndpointClient:
    """Asks one endpoint; all requests share its pauses and what is known of its faults.

    Args:
        fields: Settings to name.
        url: With /v1.
        key: Sent as the bearer token; None: the endpoint asks for none.
        timeout_sec: Of one try; pauses don't count.
        num_retries: While nobody answers, or the limit of requests is reached.
        sleep: Waits for so many seconds.
    """

    def __init__(
        self,
        fields: EndpointFields,
        url: str,
        key: str | None,
        timeout_sec: float,
        num_retries: int,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._fields = fields
        self._url = url
        self._timeout_sec = timeout_sec
        self._num_retries = num_retries
        self._sleep = sleep
        self._num_begun = self._num_answered = self._latest_answered = 0
        self._welcome_at = 0.0
        self._probing = asyncio.Lock()
        # Tries are counted and paused here, where it is known what the endpoint says to all requests.
        self._client = openai.AsyncOpenAI(
            base_url=url, api_key=key or "none", timeout=timeout_sec, max_retries=0
        )

    async def ask(self, api: Api, arguments: dict[str, Any]) -> EndpointReply:
        """The reply to one request.

        Args:
            api: Chats, or completions of text or tokens.
            arguments: Of the request, its model among them.

        Raises:
            RequestError: Refused for what it asks, too slow, or not answered in a known form.
            UserError: The endpoint refuses every request, or is away, or its limit is reached, beyond all retries.
        """
        num_tries = num_all_tries = 0
        while True:
            num_answered = self._num_answered
            refusal = await self._try(api, arguments)
            if isinstance(refusal, EndpointReply):
                return refusal
            if refusal.whose is Whose.REQUEST:
                refusal = await self._judged(refusal, api, arguments)
            if refusal.whose is Whose.ENDPOINT:
                raise self._stops(refusal, arguments)
            if refusal.whose is Whose.REQUEST:
                raise RequestError(f"refused with HTTP {refusal.status}", refusal.words)
            num_all_tries += 1
            is_full = refusal.status == 429 and self._num_answered > num_answered
            num_tries = 1 if is_full else num_tries + 1
            if max(num_tries, num_all_tries / PATIENCE) > self._num_retries:
                raise await self._given_up(refusal, api, arguments, num_all_tries, num_answered)
            await self._pause(refusal, num_tries)

    async def find_out(self, api: Api, arguments: dict[str, Any]) -> EndpointReply | None:
        """The reply to a request that the endpoint may not know; None: it refuses it.

        Raises:
            UserError: It refuses the key, or its credit is spent, or nothing answers beyond all retries.
        """
        for num_tries in count(1):
            try:
                found = await self._try(api, arguments)
            except RequestError:
                return None
            if isinstance(found, EndpointReply):
                return found
            if found.status in _OF_THE_ACCOUNT:
                raise self._stops(found, arguments)
            # A server may also break at what it doesn't know.
            if found.whose is not Whose.NOBODY or found.status == 500:
                return None
            if num_tries > self._num_retries:
                raise await self._given_up(found, api, arguments, num_tries, self._num_answered)
            await self._pause(found, num_tries)
        raise AssertionError("the count has no end")

    async def models(self) -> list[EndpointModel]:
        """Models that the endpoint lists.

        Raises:
            UserError: It refuses the key, or nothing answers, or it answers with something else than models.
        """
        try:
            body = (await self._client.models.with_raw_response.list()).text
        except openai.APIError as error:
            refusal = classify(error)
            if refusal.status in (401, 403):
                raise self._stops(refusal, {}) from None
            raise UserError(
                f"{self._fields.url}: {self._url} does not answer ({refusal.describe()}); give the URL of a running "
                f"server, with /v1"
            ) from None
        listed = read_models(body)
        if listed is None:
            raise UserError(
                f"{self._fields.url}: {self._url}/models lists no models ({mask(' '.join(body.split()))[:60]!r}); give "
                f"the URL of an OpenAI-compatible server, with /v1"
            )
        return listed

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _try(self, api: Api, arguments: dict[str, Any]) -> EndpointReply | Refusal:
        if (left_sec := self._welcome_at - time.monotonic()) > 0:
            await self._sleep(left_sec)
        create: Any = (
            self._client.chat.completions.create if api == "chat" else self._client.completions.create
        )
        self._num_begun = serial = self._num_begun + 1
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout_sec):
                completion = await create(**arguments)
        except (openai.APITimeoutError, TimeoutError):
            # Trying again would cost the endpoint the same prompt once more.
            raise RequestError(
                "timed out", f"no answer in {self._timeout_sec:g} s; raise {self._fields.timeout}"
            ) from None
        except openai.APIResponseValidationError as error:
            raise RequestError("reply of an unknown shape", mask(error.message)) from None
        except openai.APIError as error:
            # Errors of the client hold its request and with it the key; none goes on as a cause.
            return classify(error)
        except (ValueError, RecursionError) as error:
            raise RequestError("reply that is no JSON", type(error).__name__) from None
        self._num_answered += 1
        self._latest_answered = max(self._latest_answered, serial)
        return replace(read_reply(completion), sec=time.monotonic() - started)

    async def _judged(self, refusal: Refusal, api: Api, arguments: dict[str, Any]) -> Refusal:
        """The refusal again, as the endpoint's if it refuses the shortest request likewise.

        Otherwise every row would be rejected for a setting that the endpoint does not know.
        """
        num_begun = self._num_begun
        async with self._probing:
            # Only a request that was begun after this refusal proves that the endpoint answers others.
            if self._latest_answered > num_begun:
                return refusal
            try:
                found = await self._try(api, _shortest(api, arguments))
            except RequestError:
                return refusal
        if isinstance(found, EndpointReply):
            return refusal
        if found.whose is Whose.NOBODY:
            return found
        return Refusal(Whose.ENDPOINT, refusal.status, refusal.words)

    async def _pause(self, refusal: Refusal, num_tries: int) -> None:
        pause_sec = refusal.pause_sec
        if pause_sec is None:
            # Requests that failed together don't come back together.
            pause_sec = min(FIRST_PAUSE_SEC * 2 ** (num_tries - 1), MAX_OWN_PAUSE_SEC) * random.uniform(
                0.5, 1.0
            )
        elif pause_sec > MAX_ASKED_PAUSE_SEC:
            raise UserError(
                f"{self._fields.url}: {self._url} asks to wait {duration(pause_sec)} ({refusal.describe()}); "
                f"{RESUMES}"
            )
        elif refusal.status == 429:
            self._welcome_at = max(self._welcome_at, time.monotonic() + pause_sec)
        await self._sleep(pause_sec)

    async def _given_up(
        self, refusal: Refusal, api: Api, arguments: dict[str, Any], num_tries: int, num_answered: int
    ) -> Exception:
        words = f"{refusal.words}, {num_tries} times"
        # The endpoint may be there and break at this prompt, or never have room for it.
        if refusal.status == 500 or (refusal.status == 429 and self._num_answered > num_answered):
            blamed = Refusal(Whose.REQUEST, refusal.status, refusal.words)
            if (await self._judged(blamed, api, arguments)).whose is Whose.REQUEST:
                return RequestError(f"refused with HTTP {refusal.status}", words)
        return UserError(
            f"{self._fields.url}: {self._url} does not answer ({refusal.describe()}, {num_tries} times); {RESUMES}"
        )

    def _stops(self, refusal: Refusal, arguments: dict[str, Any]) -> UserError:
        fields, said = self._fields, refusal.describe()
        if refusal.status in (401, 403):
            return UserError(
                f"{fields.key}: {self._url} refuses the key in {fields.key_env} ({said}); export a valid one"
            )
        if refusal.status == 404:
            return UserError(
                f"{fields.model}: {self._url} does not serve {arguments['model']!r} ({said}); give a name that its "
                f"/models lists"
            )
        return UserError(f"{fields.url}: {self._url} refuses every request ({said}); fix that; {RESUMES}")


def _shortest(api: Api, arguments: dict[str, Any]) -> dict[str, Any]:
    """The same request about next to nothing."""
    if api == "completions":
        return {**arguments, "prompt": arguments["prompt"][:NUM_PROBE_TOKENS]}
    messages = [{**message, "content": "Say yes."} for message in arguments["messages"]]
    return {**arguments, "messages": messages}
