"""A vLLM engine in this process as the generator; one serves all steps of many rows by continuous batching."""

import asyncio
import os
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from app.agent.llm import (
    FILLING_PRIORITY,
    EngineDeadError,
    LlmCall,
    LlmError,
    LlmReply,
    Score,
    ScoreCall,
    ask_for_opening,
)
from app.agent.slots import PrioritySlots
from app.config import VllmConfig
from app.faults import one_line
from app.models.places import resolve_model

Answer = TypeVar("Answer")


class VllmGenerator:
    """Chat completions, and likelihoods of given replies, from one engine.

    It is started on the first call, and started anew when it dies.
    """

    def __init__(self, config: VllmConfig) -> None:
        self._config = config
        self._slots = PrioritySlots(config.max_concurrent_calls)
        self._starting = asyncio.Lock()
        self._engine: Any = None
        self._num_deaths = 0

    async def start(self) -> None:
        """Start the engine now rather than with the first call."""
        await self._running_engine()

    async def __call__(self, call: LlmCall) -> LlmReply:
        """Answer one call; see `app.agent.llm.Generator`.

        A call that a dying engine lost is put to the next engine: that is no failure of the call.

        Raises:
            LlmError: Timed out, or the engine refuses this prompt.
            EngineDeadError: The engine died more than `max_engine_restarts` times without an answer in between.
        """
        return await self._ask(call.priority, lambda engine: self._generate(engine, call))

    async def score(self, call: ScoreCall) -> Score:
        """Score one reply; see `app.agent.llm.Scorer`. Errors are those of a call."""
        return await self._ask(FILLING_PRIORITY, lambda engine: self._score(engine, call))

    async def close(self) -> None:
        """Stop the engine."""
        if self._engine is not None:
            await asyncio.to_thread(self._engine.shutdown)
            self._engine = None

    async def _ask(self, priority: int, put: Callable[[Any], Awaitable[Answer]]) -> Answer:
        """What an engine says; a dead one's successor is asked again."""
        from vllm.exceptions import VLLMError
        from vllm.v1.engine.exceptions import EngineDeadError as VllmEngineDeadError
        from vllm.v1.engine.exceptions import EngineGenerateError

        async with self._slots.hold(priority):
            while True:
                engine = await self._running_engine()
                try:
                    answer = await asyncio.wait_for(put(engine), self._config.call_timeout_sec)
                    self._num_deaths = 0
                    return answer
                except TimeoutError as error:
                    raise LlmError("timed out") from error
                except VllmEngineDeadError:
                    await self._retire(engine)
                except (ValueError, VLLMError, EngineGenerateError) as error:
                    raise LlmError("refused by the engine", one_line(error)[:300]) from error

    async def _running_engine(self) -> Any:
        async with self._starting:
            if self._engine is None:
                if self._num_deaths > self._config.max_engine_restarts:
                    raise EngineDeadError(f"the vLLM engine died {self._num_deaths} times in a row")
                self._engine = start_engine(self._config)
            return self._engine

    async def _retire(self, engine: Any) -> None:
        """Drop a dead engine, once, however many calls it took with it."""
        async with self._starting:
            if self._engine is engine:
                self._engine = None
                self._num_deaths += 1
                await asyncio.to_thread(engine.shutdown)

    async def _generate(self, engine: Any, call: LlmCall) -> LlmReply:
        from vllm import SamplingParams
        from vllm.platforms import current_platform
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

        sampling = self._config.sampling
        structured = StructuredOutputsParams(json=call.json_schema) if call.json_schema else None
        params = SamplingParams(
            max_tokens=call.max_output_tokens + self._config.thinking_tokens,
            # A seeded request whose prefill is chunked kills vLLM 0.29's CPU engine ("CPU Generator does not use
            # offset").
            seed=None if current_platform.is_cpu() else call.random_seed,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            repetition_penalty=sampling.repetition_penalty,
            structured_outputs=structured,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        tokenizer = engine.get_tokenizer()
        rendered, opening = render_prompt(tokenizer, call, self._config)
        prompt = tokenizer.encode(rendered, add_special_tokens=False)
        final = await _final_output(engine, prompt, params, call.priority)
        completion = final.outputs[0]
        if completion.finish_reason not in ("stop", "length"):
            raise LlmError(f"finish reason {completion.finish_reason}", completion.text[:300])
        return LlmReply(
            text=opening + completion.text,
            finish_reason=str(completion.finish_reason),
            num_prompt_tokens=len(prompt),
            num_output_tokens=len(completion.token_ids),
            num_cached_tokens=final.num_cached_tokens or 0,
        )

    async def _score(self, engine: Any, call: ScoreCall) -> Score:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        tokenizer = engine.get_tokenizer()
        rendered = tokenizer.apply_chat_template(
            list(call.messages),
            add_generation_prompt=True,
            tokenize=False,
            **self._config.chat_template_args,
        )
        # Apart, so that the text has the same tokens after every prompt.
        prompt, text = (tokenizer.encode(part, add_special_tokens=False) for part in (rendered, call.text))
        if not text:
            raise LlmError("no token to score")
        # One token must be generated; 0 is the number of likelier tokens that are told beside a prompt's own.
        params = SamplingParams(
            max_tokens=1,
            temperature=0.0,
            prompt_logprobs=0,
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        final = await _final_output(engine, prompt + text, params, FILLING_PRIORITY)
        told = final.prompt_logprobs[len(prompt) :]
        return Score.of(
            [each[token].logprob for each, token in zip(told, text, strict=True)], len(prompt) + len(text)
        )


async def _final_output(engine: Any, prompt: list[int], params: Any, priority: int) -> Any:
    """The engine's whole answer to a prompt."""
    final = None
    async for output in engine.generate(
        {"prompt_token_ids": prompt}, params, uuid.uuid4().hex, priority=priority
    ):
        final = output
    assert final is not None
    assert final.finished
    return final


def render_prompt(tokenizer: Any, call: LlmCall, config: VllmConfig) -> tuple[str, str]:
    """A call as the engine gets it, and the beginning of the reply that the prompt ends with already."""
    # Thoughts come before the reply: a model that is to think can only be asked to open it so.
    thinks = config.thinking_tokens > 0
    messages = ask_for_opening(call.messages, call.opening) if thinks else list(call.messages)
    opening = "" if thinks else call.opening
    rendered = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=False, **config.chat_template_args
    )
    return rendered + opening, opening


def start_engine(config: VllmConfig) -> Any:
    """A running `vllm.AsyncLLM`.

    On a CPU the engine's own process gets its threads and cache size through the environment, where vLLM looks for
    them.
    """
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")

    from vllm import AsyncEngineArgs
    from vllm.platforms import current_platform
    from vllm.v1.engine.async_llm import AsyncLLM

    if current_platform.is_cpu():
        os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
        # Not only where unset: Ray sets the threads of every worker to its logical CPUs.
        os.environ.update(
            OMP_NUM_THREADS=str(config.cpu_threads), VLLM_CPU_KVCACHE_SPACE=str(config.cpu_kv_cache_gib)
        )

    arguments = {
        "model": resolve_model(config.model),
        "revision": config.revision,
        "dtype": config.dtype,
        "max_model_len": config.max_model_tokens,
        "tensor_parallel_size": config.tensor_parallel_size,
        "disable_log_stats": True,
        "scheduling_policy": "priority",
        # Small models otherwise fill their tokens with the blanks that JSON allows anywhere.
        "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
        **config.engine_args,
        "trust_remote_code": False,
    }
    return AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments))
