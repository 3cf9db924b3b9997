"""Any OpenAI-compatible endpoint as the generator."""

import asyncio
from typing import Any

import openai

from app.agent.llm import EngineDeadError, LlmCall, LlmError, LlmReply
from app.agent.slots import PrioritySlots
from app.config import OpenAiConfig, read_secret
from app.faults import UserError


class OpenAiGenerator:
    """Chat completions over HTTP. The key is read from the environment and stands nowhere else."""

    def __init__(self, config: OpenAiConfig) -> None:
        """Raises UserError when the environment holds no key."""
        key = read_secret(config.api_key_env)
        if key is None:
            raise UserError(
                f"generator.api_key_env: {config.api_key_env} is not set in the environment; export it, "
                f"with any value where the endpoint asks for none"
            )
        self._config = config
        self._slots = PrioritySlots(config.max_concurrent_calls)
        self._client = openai.AsyncOpenAI(
            base_url=config.base_url,
            api_key=key,
            timeout=config.call_timeout_sec,
            max_retries=config.num_retries,
        )

    async def __call__(self, call: LlmCall) -> LlmReply:
        """Answer one call; see `app.agent.llm.Generator`.

        Raises:
            LlmError: Timed out, or refused for this prompt.
            EngineDeadError: The endpoint is away, fails or its rate limit is reached, beyond all retries. The job
                stops then, rather than reject every row; started again it goes on.
            UserError: The endpoint refuses every call: wrong key, no such model.
        """
        sampling = self._config.sampling
        arguments: dict[str, Any] = {}
        if call.json_schema is not None:
            schema = {"name": call.step, "schema": call.json_schema, "strict": True}
            arguments["response_format"] = {"type": "json_schema", "json_schema": schema}
        messages = list(call.messages)
        if call.opening:
            # Not every endpoint lets a request begin the reply, so the opening is asked for.
            last = messages[-1]
            ask = f'{last["content"]}\n\nBegin with "{call.opening}".'
            messages[-1] = {"role": last["role"], "content": ask}
        async with self._slots.hold(call.priority):
            try:
                # The limit holds for a try with all its retries: the client alone would wait for it in each of them.
                completion = await asyncio.wait_for(
                    self._client.chat.completions.create(
                        model=self._config.model,
                        messages=messages,  # type: ignore[arg-type]
                        max_tokens=call.max_output_tokens,
                        seed=call.random_seed,
                        temperature=sampling.temperature,
                        top_p=sampling.top_p,
                        **arguments,
                    ),
                    self._config.call_timeout_sec,
                )
            except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
                raise UserError(
                    f"generator.api_key_env: {self._config.base_url} refuses the key in {self._config.api_key_env} "
                    f"(HTTP {error.status_code}); export a valid one"
                ) from error
            except openai.NotFoundError as error:
                raise UserError(
                    f"generator.model: {self._config.base_url} does not serve {self._config.model!r}; "
                    f"give a name that its /models lists"
                ) from error
            except (openai.APITimeoutError, TimeoutError) as error:
                raise LlmError("timed out") from error
            except (openai.APIConnectionError, openai.RateLimitError, openai.InternalServerError) as error:
                raise EngineDeadError(
                    f"{self._config.base_url} does not answer calls ({type(error).__name__})"
                ) from error
            except openai.APIError as error:
                raise LlmError(f"endpoint error: {type(error).__name__}") from error
        if not completion.choices or completion.usage is None:
            raise LlmError("endpoint sent no choice or no usage")
        choice, usage = completion.choices[0], completion.usage
        details = usage.prompt_tokens_details
        return LlmReply(
            # An endpoint may cut an answer inside an escaped pair of surrogates; half of one can't be stored.
            text=(choice.message.content or "").encode("utf-8", "replace").decode("utf-8"),
            finish_reason=choice.finish_reason,
            num_prompt_tokens=usage.prompt_tokens,
            num_output_tokens=usage.completion_tokens,
            num_cached_tokens=(details.cached_tokens or 0) if details else 0,
        )

    async def close(self) -> None:
        await self._client.close()
