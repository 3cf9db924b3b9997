"""Sends one request of an evaluation to its endpoint."""

from typing import Any

from app.config import EvaluateConfig
from app.endpoints.client import Api, EndpointClient, EndpointFields
from app.endpoints.models import EndpointModel
from app.endpoints.replies import EndpointReply
from app.faults import UserError
from eval.asking import PrefixWay, least_read_tokens, limit_tokens, request_of, without_prefix
from eval.records import Reply
from eval.samples import Sample
from eval.thoughts import split_thought


class EvaluationClient:
    """Answers of one model.

    Args:
        config: How to ask.
        url: URL of the endpoint, with /v1.
        key: Sent as the bearer token; None: the endpoint asks for none.
        model: Name of the model at the endpoint.
        way: How the answer prefix is sent; None: as tokens of the prompt, over completions.
    """

    def __init__(
        self, config: EvaluateConfig, url: str, key: str | None, model: str, way: PrefixWay | None = None
    ) -> None:
        fields = EndpointFields(
            url="evaluate.url",
            model="evaluate.models",
            key="evaluate.api_key_env",
            key_env=config.api_key_env,
            timeout="evaluate.request_timeout_sec",
        )
        self._client = EndpointClient(fields, url, key, config.request_timeout_sec, config.num_retries)
        self._config = config
        self._url = url
        self._way = way
        self._model = model

    async def models(self) -> list[EndpointModel]:
        """Models that the endpoint lists; see `EndpointClient.models`."""
        return await self._client.models()

    async def ask(self, sample: Sample) -> Reply:
        """Answer one sample.

        Raises:
            RequestError: Refused for this prompt, or too slow, or broken beyond all retries.
            UserError: The endpoint refuses every request, or is away beyond all retries, or does not read all of the
                prompt, or has another tokenizer.
        """
        api, arguments = request_of(self._config, self._model, sample, self._way)
        reply = await self._client.ask(api, arguments)
        self._check_read(api, reply.num_prompt_tokens, sample)
        thought, text = split_thought(without_prefix(reply.text, sample, self._way))
        return Reply(
            text=text,
            finish_reason=reply.finish_reason,
            num_prompt_tokens=reply.num_prompt_tokens,
            num_output_tokens=reply.num_output_tokens,
            num_cached_tokens=reply.num_cached_tokens,
            sec=reply.sec,
            thought=reply.thought or thought,
            limit_tokens=limit_tokens(self._config, sample),
            thinking_tokens=self._config.sampling.thinking_tokens,
        )

    async def ask_as_it_is(self, api: Api, arguments: dict[str, Any]) -> EndpointReply:
        """Answer a request of another library's task; see `EndpointClient.ask`."""
        return await self._client.ask(api, arguments)

    def _check_read(self, api: Api, num_read: int, sample: Sample) -> None:
        num_sent = len(sample.token_ids)
        if api == "completions" and num_read != num_sent:
            raise UserError(
                f"evaluate.api: {self._url} read {num_read} tokens although {num_sent} were sent, so lengths would be "
                f"wrong; set evaluate.api to chat"
            )
        if api == "chat" and num_read < least_read_tokens(sample):
            raise UserError(
                f"evaluate.url: {self._url} read {num_read:,} tokens of a chat that has about {num_sent:,}; it cuts "
                f"long prompts, or evaluate.models.{self._model}.tokenizer is another model's; raise the server's "
                f"limit, or name the right tokenizer"
            )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()
