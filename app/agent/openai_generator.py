"""Any OpenAI-compatible endpoint as the generator."""

import asyncio
from typing import Any

from app.agent.llm import (
    FILLING_PRIORITY,
    CannotScoreError,
    LlmCall,
    LlmError,
    LlmReply,
    Score,
    ScoreCall,
    ask_for_opening,
)
from app.agent.slots import PrioritySlots
from app.config import OpenAiConfig
from app.endpoints.client import EndpointClient, EndpointFields
from app.endpoints.keys import read_api_key
from app.endpoints.replies import RequestError
from app.faults import UserError
from app.tokens import Tokenizer


class OpenAiGenerator:
    """Chat completions over HTTP, and likelihoods of given replies where the endpoint tells them.

    The key is read from the environment and stands nowhere else.
    """

    def __init__(self, config: OpenAiConfig) -> None:
        """Raises UserError when the environment holds no key."""
        key = read_api_key("generator.api_key_env", config.api_key_env)
        if key is None:
            raise UserError(
                f"generator.api_key_env: {config.api_key_env} is not set in the environment; export it, "
                f"with any value where the endpoint asks for none"
            )
        fields = EndpointFields(
            url="generator.base_url",
            model="generator.model",
            key="generator.api_key_env",
            key_env=config.api_key_env,
            timeout="generator.call_timeout_sec",
        )
        self._config = config
        self._slots = PrioritySlots(config.max_concurrent_calls)
        self._client = EndpointClient(
            fields, config.base_url, key, config.call_timeout_sec, config.num_retries
        )
        self._tokenizer = Tokenizer(config.tokenizer, config.revision)
        self._asking_for_scores = asyncio.Lock()
        self._can_score: bool | None = None

    async def __call__(self, call: LlmCall) -> LlmReply:
        """Answer one call; see `app.agent.llm.Generator`.

        Raises:
            LlmError: Timed out, refused for this prompt, or not finished.
            UserError: The endpoint refuses every call, or is away beyond all retries. The job stops then, rather than
                reject every row; started again it goes on.
        """
        async with self._slots.hold(call.priority):
            try:
                reply = await self._client.ask("chat", self._arguments(call))
            except RequestError as error:
                raise LlmError(error.reason, error.detail) from None
        return LlmReply(
            text=reply.text,
            finish_reason=reply.finish_reason,
            num_prompt_tokens=reply.num_prompt_tokens,
            num_output_tokens=reply.num_output_tokens,
            num_cached_tokens=reply.num_cached_tokens,
            thought=reply.thought,
        )

    async def score(self, call: ScoreCall) -> Score:
        """Score one reply by `/completions` with `echo` and `logprobs`; see `app.agent.llm.Scorer`.

        Raises:
            LlmError: Timed out, refused for this text, or other tokens came back than were sent.
            CannotScoreError: The endpoint has no completions, or tells no log probabilities of a prompt.
            UserError: As for a call.
        """
        prompt = self._tokenizer.encode(
            self._tokenizer.render(
                call.messages, generation_prompt=True, arguments=self._config.chat_template_args
            )
        )
        text = self._tokenizer.encode(call.text)
        if not text:
            raise LlmError("no token to score")
        async with self._asking_for_scores:
            if self._can_score is None:
                shown = [*prompt[:2], *text[:2]]
                told = await self._client.find_out("completions", self._scoring(shown))
                # An endpoint that does not know `echo` may tell of the token alone that it generated.
                self._can_score = told is not None and len(told.prompt_logprobs or ()) >= len(shown)
        if not self._can_score:
            raise CannotScoreError("endpoint tells no log probabilities of a prompt")
        async with self._slots.hold(FILLING_PRIORITY):
            try:
                reply = await self._client.ask("completions", self._scoring(prompt + text))
            except RequestError as error:
                raise LlmError(error.reason, error.detail) from None
        found = reply.prompt_logprobs or []
        # The token that is generated stands behind the prompt; some endpoints leave it out.
        if not 0 <= len(found) - len(prompt) - len(text) <= 1:
            raise LlmError(
                "scores of other tokens",
                f"{len(found)} of {len(prompt) + len(text)}; see generator.tokenizer",
            )
        log_probs = [own for own, _ in found[len(prompt) : len(prompt) + len(text)]]
        return Score.of(log_probs, len(prompt) + len(text))

    def _scoring(self, token_ids: list[int]) -> dict[str, Any]:
        return {
            "model": self._config.model,
            "prompt": token_ids,
            "max_tokens": 1,
            "temperature": 0.0,
            "echo": True,
            "logprobs": 1,
        }

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _arguments(self, call: LlmCall) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "model": self._config.model,
            # Not every endpoint lets a request begin the reply.
            "messages": ask_for_opening(call.messages, call.opening),
            "max_tokens": call.max_output_tokens + self._config.thinking_tokens,
            "temperature": self._config.sampling.temperature,
            "top_p": self._config.sampling.top_p,
        }
        if self._config.chat_template_args:
            arguments["extra_body"] = {"chat_template_kwargs": self._config.chat_template_args}
        if self._config.sends_seed:
            arguments["seed"] = call.random_seed
        if call.json_schema is not None:
            schema = {"name": call.step, "schema": call.json_schema, "strict": True}
            arguments["response_format"] = {"type": "json_schema", "json_schema": schema}
        return arguments
