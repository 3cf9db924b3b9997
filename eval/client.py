"""Sends one request to an OpenAI-compatible endpoint, and retries while the endpoint is unreachable or overloaded."""

import asyncio
import random
import time
from typing import Any

import openai

from app.config import EvaluateConfig
from app.faults import UserError
from eval.records import Reply
from eval.samples import Sample

FIRST_PAUSE_SEC = 1.0
MAX_PAUSE_SEC = 60.0
MAX_REASON_CHARS = 300


class RequestFailedError(Exception):
    """This request got no answer; others may."""


class EndpointAwayError(Exception):
    """No request gets an answer. What is answered already is kept; the same command goes on from there."""


class EvaluationClient:
    """Greedy answers of one model.

    Args:
        config: How to ask.
        url: URL of the endpoint, with /v1.
        key: Sent as the bearer token; None: the endpoint asks for none.
        model: Name of the model at the endpoint.
    """

    def __init__(self, config: EvaluateConfig, url: str, key: str | None, model: str) -> None:
        self._config = config
        self._url = url
        self._model = model
        self._client = openai.AsyncOpenAI(
            base_url=url,
            api_key=key or "none",
            timeout=config.request_timeout_sec,
            # Tries are counted and paused here: the client's own give up within seconds.
            max_retries=0,
        )

    async def model_names(self) -> list[str]:
        """Models that the endpoint lists.

        Raises:
            UserError: It refuses the key, or nothing answers.
        """
        try:
            return [model.id for model in (await self._client.models.list()).data]
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise self._refused(error) from error
        except openai.APIError as error:
            raise UserError(
                f"evaluate.url: {self._url} does not answer ({_reason(error)}); give the URL of a running server, "
                f"with /v1"
            ) from error

    async def ask(self, sample: Sample, messages: list[dict[str, str]] | None = None) -> Reply:
        """Answer one sample.

        Args:
            sample: The sample; the model reads exactly its tokens.
            messages: A chat to be sent instead, for endpoints without completions.

        Raises:
            RequestFailedError: Refused for this prompt, or too slow, or broken beyond all retries.
            EndpointAwayError: Nobody there, or full, beyond all retries.
            UserError: The endpoint refuses every request: wrong key, no such model, another tokenizer.
        """
        for attempt in range(self._config.num_retries + 1):
            try:
                return await self._ask_once(sample, messages)
            except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
                raise self._refused(error) from error
            except openai.NotFoundError as error:
                raise UserError(
                    f"evaluate.models: {self._url} does not serve {self._model!r} ({_reason(error)}); give a name "
                    f"that its /models lists"
                ) from error
            except openai.APITimeoutError as error:
                # Trying again would cost the endpoint the same long prompt once more.
                raise RequestFailedError(
                    f"no answer in {self._config.request_timeout_sec:g} s; raise evaluate.request_timeout_sec"
                ) from error
            except openai.APIError as error:
                if not _is_passing(error):
                    raise RequestFailedError(_reason(error)) from error
                if attempt == self._config.num_retries:
                    raise _given_up(error, attempt + 1) from error
                await asyncio.sleep(_pause_sec(error, attempt))
        raise AssertionError("the last attempt returns or raises")

    async def close(self) -> None:
        await self._client.close()

    async def _ask_once(self, sample: Sample, messages: list[dict[str, str]] | None) -> Reply:
        arguments: dict[str, Any] = {
            "model": self._model,
            "max_tokens": sample.max_output_tokens,
            "temperature": 0.0,
        }
        started = time.monotonic()
        completion: Any
        if messages is None:
            completion = await self._client.completions.create(prompt=sample.token_ids.tolist(), **arguments)
        else:
            completion = await self._client.chat.completions.create(messages=messages, **arguments)  # type: ignore[arg-type]
        sec = time.monotonic() - started
        if not completion.choices or completion.usage is None:
            raise RequestFailedError("the endpoint sent no choice or no usage")
        choice, usage = completion.choices[0], completion.usage
        if messages is None and usage.prompt_tokens != len(sample.token_ids):
            raise UserError(
                f"evaluate.api: {self._url} read {usage.prompt_tokens} tokens although {len(sample.token_ids)} were "
                f"sent, so lengths would be wrong; set evaluate.api to chat"
            )
        details = usage.prompt_tokens_details
        return Reply(
            text=(choice.text if messages is None else choice.message.content) or "",
            finish_reason=choice.finish_reason or "",
            num_prompt_tokens=usage.prompt_tokens,
            num_output_tokens=usage.completion_tokens,
            num_cached_tokens=(details.cached_tokens or 0) if details else 0,
            sec=sec,
        )

    def _refused(self, error: openai.APIStatusError) -> UserError:
        return UserError(
            f"evaluate.api_key_env: {self._url} refuses the key in {self._config.api_key_env} (HTTP "
            f"{error.status_code}); export a valid one"
        )


def _is_passing(error: openai.APIError) -> bool:
    """Whether the same request may be answered later."""
    if isinstance(error, openai.APIConnectionError | openai.RateLimitError):
        return True
    return isinstance(error, openai.APIStatusError) and error.status_code >= 500


def _given_up(error: openai.APIError, num_attempts: int) -> Exception:
    reason = f"{_reason(error)}, {num_attempts} times"
    if isinstance(error, openai.APIStatusError) and error.status_code == 500:
        # The endpoint is there and breaks at this prompt.
        return RequestFailedError(reason)
    return EndpointAwayError(reason)


def _pause_sec(error: openai.APIError, attempt: int) -> float:
    asked = error.response.headers.get("retry-after", "") if isinstance(error, openai.APIStatusError) else ""
    if asked.isdigit():
        return min(float(asked), MAX_PAUSE_SEC)
    # Requests that failed together don't come back together.
    return min(FIRST_PAUSE_SEC * 2**attempt, MAX_PAUSE_SEC) * random.uniform(0.5, 1.0)


def _reason(error: openai.APIError) -> str:
    status = f"HTTP {error.status_code}: " if isinstance(error, openai.APIStatusError) else ""
    return f"{status}{' '.join(error.message.split())[:MAX_REASON_CHARS]}"
