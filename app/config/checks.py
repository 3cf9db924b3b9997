"""Validation shared by several sections."""

import re
from collections.abc import Iterable
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator

OWN_ENGINE_ARGS = {
    "model": "model",
    "revision": "revision",
    "dtype": "dtype",
    "max_model_len": "max_model_tokens",
    "tensor_parallel_size": "tensor_parallel_size",
}


def checked_engine_args(arguments: dict[str, Any], own: dict[str, str], section: str) -> dict[str, Any]:
    for name in arguments:
        if name in own:
            raise ValueError(f"holds {name}; set {section}.{own[name]} instead")
    return refuse_secrets(arguments)


def refuse_secrets(arguments: dict[str, Any]) -> dict[str, Any]:
    for name in arguments:
        if name.lower().endswith(("token", "api_key", "password", "secret")):
            raise ValueError(f"holds {name}, and recipes are recorded; give secrets in the environment")
    return arguments


def checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        # The port is read only now, and may be none.
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url or any(letter.isspace() for letter in url):
        raise ValueError("is not a URL; use for example http://HOST:8000/v1")
    if "@" in url or "?" in url:
        raise ValueError(
            "holds a login or a query, and recipes are recorded; name the key's variable in api_key_env"
        )
    return url


_PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}")


def placeholders(text: str) -> set[str]:
    """Names of the {placeholders} in a text; other braces are plain text."""
    return set(_PLACEHOLDER.findall(text))


def check_placeholders(field: str, text: str, known: set[str]) -> None:
    unknown = placeholders(text) - known
    if unknown:
        choices = ", ".join(f"{{{name}}}" for name in sorted(known)) or "none"
        raise ValueError(
            f"{field} has {{{min(unknown)}}}, which is not a placeholder of this field; known: {choices}"
        )


def _not_empty(values: list[Any]) -> list[Any]:
    if not values:
        raise ValueError("is empty; name at least one")
    return values


def _without_duplicates(values: list[Any]) -> list[Any]:
    if len(set(values)) < len(values):
        raise ValueError("has a duplicate; remove it")
    return values


Item = TypeVar("Item")
Distinct = Annotated[list[Item], AfterValidator(_without_duplicates)]
"""A list that names nothing twice."""
SomeDistinct = Annotated[list[Item], AfterValidator(_not_empty), AfterValidator(_without_duplicates)]
"""A list that names something, and nothing twice."""


def check_range(name: str, least: int, most: int) -> None:
    """Refuse a `min_NAME` above its `max_NAME`."""
    if least > most:
        raise ValueError(f"min_{name} {least} is above max_{name} {most}; at most that")


def checked_weights(weights: dict[str, float], known: Iterable[str]) -> dict[str, float]:
    """Weights of tasks, all of which are known.

    Raises:
        ValueError: Names one that is not.
    """
    if unknown := [task for task in weights if task not in known]:
        raise ValueError(f"names {unknown[0]}, which is not a task; known: {', '.join(known)}")
    return weights
