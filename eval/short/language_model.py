"""The language model that lm-eval asks: the evaluation's own client, so that keys, retries and faults are the same."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from lm_eval.api.model import TemplateLM

from app.config import EvaluateConfig
from app.endpoints.client import Api
from app.endpoints.replies import EndpointReply, RequestError
from app.faults import UserError
from app.tokens import Tokenizer
from eval.asking import request_arguments
from eval.client import EvaluationClient
from eval.thoughts import split_thought

DEFAULT_OUTPUT_TOKENS = 256
"""lm-eval's own, for tasks that say nothing."""
MAX_CHAT_STOPS = 4
"""More stop texts are refused by OpenAI."""


class EndpointLm(TemplateLM):
    """Asks one model; answers are kept by lm-eval's cache one by one as they come.

    Over completions it sends the prompt's tokens, chat template included, as the other suites do; over chats it sends
    the messages.

    Args:
        config: How to ask.
        model: Name of the model at the endpoint.
        tokenizer: Tokenizer of the model.
        url: With /v1.
        key: Sent as the bearer token; None: the endpoint asks for none.
    """

    def __init__(
        self, config: EvaluateConfig, model: str, tokenizer: Tokenizer, url: str, key: str | None
    ) -> None:
        super().__init__()
        self._config, self._model, self._tokenizer = config, model, tokenizer
        self._url, self._key = url, key
        self.outcomes: Counter[str] = Counter()
        """Kinds of replies that this object got: `answered`, `cut`, `empty`."""

    @property
    def tokenizer_name(self) -> str:
        return self._tokenizer.fingerprint

    @property
    def eot_token_id(self) -> int | None:
        return self._tokenizer.eos_id

    @property
    def prefix_token_id(self) -> int | None:
        """Token that stands before a text without a context."""
        return self._tokenizer.separator_id

    def chat_template(self, chat_template: bool | str = False) -> str:
        """Only recorded by lm-eval; the tokenizer's fingerprint covers it."""
        return ""

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """The prompt of a chat: in the model's template, or as JSON where the endpoint has its own."""
        if self._config.api == "chat":
            return json.dumps(chat_history, ensure_ascii=False)
        arguments = dict(self._config.sampling.template_arguments)
        if not add_generation_prompt:
            arguments["continue_final_message"] = True
        # lm-eval's messages are dictionaries of the same form.
        messages: Any = chat_history
        return self._tokenizer.render(messages, generation_prompt=add_generation_prompt, arguments=arguments)

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **kwargs: Any) -> list[int]:
        leading = self._tokenizer.leading_id
        # A chat template spells it.
        has_leading = (
            self._config.template == "base" and leading is not None and add_special_tokens is not False
        )
        return ([leading] if has_leading and leading is not None else []) + self._tokenizer.encode(string)

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """The replies, without thought.

        Raises:
            UserError: The endpoint does not answer one of the requests.
        """
        asked = [self._written(*request.args) for request in requests]
        keys = [request.args for request in requests]
        replies: list[str] = asyncio.run(
            self._ask_at_once("generate_until", keys, asked, [self._read_text] * len(asked))
        )
        return replies

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """The log probabilities of whole texts."""
        before = [] if self.prefix_token_id is None else [self.prefix_token_id]
        texts = [(None, before, self.tok_encode(request.args[0])) for request in requests]
        return [score for score, _ in self._loglikelihood_tokens(texts)]

    def _loglikelihood_tokens(
        self, requests: Sequence[tuple[Any, list[int], list[int]]], **kwargs: Any
    ) -> list[tuple[float, bool]]:
        asked: list[tuple[Api, dict[str, Any]]] = [
            (
                "completions",
                {
                    "model": self._model,
                    "prompt": [*context, *continuation],
                    "max_tokens": 1,
                    "temperature": 0.0,
                    "logprobs": 1,
                    "echo": True,
                },
            )
            for _, context, continuation in requests
        ]
        keys = [key for key, _, _ in requests]
        readers = [self._reader_of_logprobs(len(context)) for _, context, _ in requests]
        found: list[tuple[float, bool]] = asyncio.run(
            self._ask_at_once("loglikelihood", keys, asked, readers)
        )
        return found

    def _written(self, context: str, settings: dict[str, Any]) -> tuple[Api, dict[str, Any]]:
        sampling, api = self._config.sampling, self._config.api
        limit = int(settings.get("max_gen_toks", settings.get("max_tokens", DEFAULT_OUTPUT_TOKENS)))
        arguments = request_arguments(self._config, self._model, limit + sampling.thinking_tokens)
        if settings.get("do_sample"):
            arguments |= {name: settings[name] for name in ("temperature", "top_p") if name in settings}
        stops = settings.get("until") or []
        stops = [stops] if isinstance(stops, str) else list(stops)
        if api == "chat":
            arguments["messages"] = json.loads(context)
            stops = stops[:MAX_CHAT_STOPS]
        else:
            arguments["prompt"] = self.tok_encode(context)
        if stops:
            arguments["stop"] = stops
        return api, arguments

    def _read_text(self, reply: EndpointReply) -> str:
        _, text = split_thought(reply.text)
        is_cut = reply.finish_reason == "length"
        self.outcomes["empty" if not text.strip() else "cut" if is_cut else "answered"] += 1
        return text

    def _reader_of_logprobs(self, num_context: int) -> Callable[[EndpointReply], tuple[float, bool]]:
        def read(reply: EndpointReply) -> tuple[float, bool]:
            if reply.prompt_logprobs is None:
                raise UserError(
                    f"evaluate.short.tasks: {self._url} gives no log probabilities of prompts (`echo` with "
                    f"`logprobs`); serve with vLLM, or name tasks that are answered in writing"
                )
            # The last token is the one that had to be generated.
            scores = reply.prompt_logprobs[num_context:-1]
            return sum(own for own, _ in scores), all(own == best for own, best in scores)

        return read

    async def _ask_at_once(
        self,
        kind: str,
        keys: Sequence[Any],
        asked: Sequence[tuple[Api, dict[str, Any]]],
        readers: Sequence[Callable[[EndpointReply], Any]],
    ) -> list[Any]:
        client = EvaluationClient(self._config, self._url, self._key, self._model)
        slots = asyncio.Semaphore(self._config.num_concurrent_requests)

        async def one(index: int) -> Any:
            async with slots:
                try:
                    reply = await client.ask_as_it_is(*asked[index])
                except RequestError as error:
                    raise UserError(
                        f"evaluate.short.tasks: {self._url} does not answer a question ({error}); change its settings, "
                        f"or leave the task out"
                    ) from None
            result = readers[index](reply)
            if keys[index] is not None:
                self.cache_hook.add_partial(kind, keys[index], result)
            return result

        try:
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(one(index)) for index in range(len(asked))]
        except BaseExceptionGroup as group:
            # The first one is why the others were stopped.
            raise group.exceptions[0] from None
        finally:
            await client.close()
        return [task.result() for task in running]
