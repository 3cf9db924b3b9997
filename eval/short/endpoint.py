"""The lm-eval model that calls the endpoint."""

from typing import Any

from app.config import EvaluateConfig
from app.models.places import resolve_model
from app.tokens import Tokenizer

NO_LIMIT_TOKENS = 10**9
"""lm-eval cuts off the beginning of what is longer than it was told; a prompt that does not fit must fail."""


def endpoint_model(
    config: EvaluateConfig, model: str, tokenizer: Tokenizer, url: str, key: str | None
) -> Any:
    """The `lm_eval.api.model.LM` that asks the endpoint.

    Over the completions API it sends the prompt's tokens, chat template included, as the other suites do.

    Args:
        config: How to ask.
        model: Name of the model at the endpoint.
        tokenizer: Tokenizer of the model.
        url: With /v1.
        key: Sent as the bearer token; None: the endpoint asks for none.
    """
    from lm_eval.models.openai_completions import LocalChatCompletion, LocalCompletionsAPI

    shared: dict[str, Any] = {
        "model": model,
        "num_concurrent": config.num_concurrent_requests,
        "max_retries": config.num_retries + 1,
        "timeout": config.request_timeout_sec,
        "max_length": NO_LIMIT_TOKENS,
        # Given even without a key: lm-eval would send along the OPENAI_API_KEY that it finds in the environment.
        "header": {"Authorization": f"Bearer {key or 'none'}"},
    }
    if config.api == "chat":
        return LocalChatCompletion(
            base_url=f"{url.rstrip('/')}/chat/completions", tokenized_requests=False, **shared
        )
    return LocalCompletionsAPI(
        base_url=f"{url.rstrip('/')}/completions",
        tokenizer=resolve_model(tokenizer.model),
        revision=tokenizer.revision or "main",
        tokenizer_backend="huggingface",
        tokenized_requests=True,
        # A chat template spells it.
        add_bos_token=config.template == "base" and tokenizer.leading_id is not None,
        trust_remote_code=False,
        **shared,
    )
