"""Sends one request of an evaluation to its endpoint."""

from app.config import EvaluateConfig
from app.endpoints.client import Api, EndpointClient, EndpointFields
from app.faults import UserError
from eval.records import Reply
from eval.samples import Sample


class EvaluationClient:
    """Greedy answers of one model.

    Args:
        config: How to ask.
        url: URL of the endpoint, with /v1.
        key: Sent as the bearer token; None: the endpoint asks for none.
        model: Name of the model at the endpoint.
    """

    def __init__(self, config: EvaluateConfig, url: str, key: str | None, model: str) -> None:
        fields = EndpointFields(
            url="evaluate.url",
            model="evaluate.models",
            key="evaluate.api_key_env",
            key_env=config.api_key_env,
            timeout="evaluate.request_timeout_sec",
        )
        self._client = EndpointClient(fields, url, key, config.request_timeout_sec, config.num_retries)
        self._url = url
        self._model = model

    async def model_names(self) -> list[str]:
        """Models that the endpoint lists; see `EndpointClient.model_names`."""
        return await self._client.model_names()

    async def ask(self, sample: Sample, messages: list[dict[str, str]] | None = None) -> Reply:
        """Answer one sample.

        Args:
            sample: The sample; the model reads exactly its tokens.
            messages: A chat to be sent instead, for endpoints without completions.

        Raises:
            RequestError: Refused for this prompt, or too slow, or broken beyond all retries.
            UserError: The endpoint refuses every request, or is away beyond all retries, or has another tokenizer.
        """
        api: Api = "completions" if messages is None else "chat"
        asked = {"prompt": sample.token_ids.tolist()} if messages is None else {"messages": messages}
        arguments = {
            "model": self._model,
            "max_tokens": sample.max_output_tokens,
            "temperature": 0.0,
            **asked,
        }
        reply = await self._client.ask(api, arguments)
        if messages is None and reply.num_prompt_tokens != len(sample.token_ids):
            raise UserError(
                f"evaluate.api: {self._url} read {reply.num_prompt_tokens} tokens although {len(sample.token_ids)} "
                f"were sent, so lengths would be wrong; set evaluate.api to chat"
            )
        return Reply(
            text=reply.text,
            finish_reason=reply.finish_reason,
            num_prompt_tokens=reply.num_prompt_tokens,
            num_output_tokens=reply.num_output_tokens,
            num_cached_tokens=reply.num_cached_tokens,
            sec=reply.sec,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()
