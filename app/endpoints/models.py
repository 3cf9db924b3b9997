"""What an endpoint's /models lists, in whatever shape it comes."""

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class EndpointModel:
    """One model that an endpoint lists."""

    name: str
    max_tokens: int | None = None
    """Longest prompt and answer together; None: the endpoint does not say."""
    owner: str = ""
    """Kind of the server, e.g. `vllm`, where the endpoint tells it."""


def read_models(body: str) -> list[EndpointModel] | None:
    """The models in a reply's body; None: it is no list of models."""
    try:
        listed = json.loads(body)
    except (ValueError, RecursionError):
        return None
    data = listed.get("data") if isinstance(listed, dict) else None
    if not isinstance(data, list) or not all(
        isinstance(model, dict) and isinstance(model.get("id"), str) for model in data
    ):
        return None
    return [
        EndpointModel(model["id"], _length(model), str(model.get("owned_by") or "").lower()) for model in data
    ]


def _length(model: dict[str, Any]) -> int | None:
    """VLLM and SGLang call it `max_model_len`, OpenRouter `context_length`."""
    for name in ("max_model_len", "context_length"):
        length = model.get(name)
        if isinstance(length, int) and not isinstance(length, bool) and length > 0:
            return length
    return None
