"""What is looked at of a request's JSON before a model gets it: its model, its sequences, its messages.

All else is the engine's to check; it has clear words for it.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from app.faults import one_line
from app.serving.replies import RequestError

MAX_SHOWN_CHARS = 200
MAX_CONTAINERS = 100_000
"""Lists and objects in one body. An empty one takes 25 times its bytes once it is read, in each process on the way."""
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
ROLE = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""A chat template writes the role as it is: control tokens in it would begin a turn of their own."""
TEXT_PARTS = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}
"""Kind of a content part → where its text is."""
PART = re.compile(r"thinking|tool_reference|(input_)?(image|audio|video)(_url|_embeds)?")
"""Kinds that a model may take besides; vLLM refuses by name what it does not take."""


def parsed(body: bytes) -> dict[str, Any]:
    """The JSON object of a request.

    Raises:
        RequestError: the body is none, or holds more lists and objects than any request needs.
    """
    if _num_brackets(body) > MAX_CONTAINERS and _num_brackets(_STRING.sub(b"", body)) > MAX_CONTAINERS:
        raise RequestError(
            400, f"the body holds more than {MAX_CONTAINERS:,} lists and objects; send several requests"
        )
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        reason = "too deep" if isinstance(error, RecursionError) else one_line(error)
        raise RequestError(400, f"the body is not JSON ({reason[:MAX_SHOWN_CHARS]})") from error
    if not isinstance(request, dict):
        raise RequestError(400, 'the body is not a JSON object; send {"model": NAME, ...}')
    return request


def _num_brackets(body: bytes) -> int:
    """Lists and objects that begin, those in texts included."""
    return body.count(b"[") + body.count(b"{")


def model_in(request: Mapping[str, Any], models: Mapping[str, int | None]) -> str:
    """Name of the model that a request asks for; the only one there is where it names none.

    Raises:
        RequestError: it is no name.
    """
    name = request.get("model")
    if name is None and len(models) == 1:
        return next(iter(models))
    if not isinstance(name, str):
        raise RequestError(400, f"`model` is no name; there are {', '.join(models)}", param="model")
    return name


def num_sequences(request: Mapping[str, Any], max_sequences: int) -> int:
    """Sequences that an engine would work on for a request: its prompts, each as often as it is to be answered.

    Raises:
        RequestError: more than one request may have.
    """
    prompts = request.get("prompt")
    is_batch = isinstance(prompts, list) and any(not isinstance(part, int) for part in prompts[:1])
    num_prompts = len(prompts) if is_batch and isinstance(prompts, list) else 1
    num_answers = max(1, *(_whole_number(request.get(name)) for name in ("n", "best_of")))
    number = num_prompts * num_answers
    if number > max_sequences:
        raise RequestError(
            400,
            f"{num_prompts} prompts with {num_answers} answers each are {number} sequences, more than "
            f"max_sequences_per_request {max_sequences}; send several requests",
            param="prompt" if num_prompts > num_answers else "n",
        )
    return number


def _whole_number(value: Any) -> int:
    """A number as the engine reads it, which takes `"3"` and `3.0` for 3; 0 for what it refuses."""
    if not isinstance(value, str | int | float):
        return 0
    try:
        return int(value) if isinstance(value, int) else int(float(value))
    except (ValueError, OverflowError):
        return 0


def check_messages(messages: Any) -> None:
    """Refuse a chat that is none, where vLLM's own words are not understood.

    Raises:
        RequestError: names the message and what it should hold.
    """
    if not isinstance(messages, list) or not messages:
        raise _wrong("messages", "is not a list of messages", '[{"role": "user", "content": "…"}]')
    for index, message in enumerate(messages):
        field = f"messages.{index}"
        if not isinstance(message, dict):
            raise _wrong(field, "is not an object", '{"role": "user", "content": "…"}')
        role, content = message.get("role"), message.get("content")
        if not isinstance(role, str) or not ROLE.fullmatch(role):
            raise _wrong(f"{field}.role", "is not a role", "user, assistant, system or tool")
        if content is None or isinstance(content, str):
            continue
        if not isinstance(content, list):
            raise _wrong(f"{field}.content", "is neither a text nor a list of parts", "a text")
        for number, part in enumerate(content):
            _check_part(f"{field}.content.{number}", part)


def _check_part(field: str, part: Any) -> None:
    if isinstance(part, str):
        return
    if not isinstance(part, dict):
        raise _wrong(field, "is not an object", '{"type": "text", "text": "…"}')
    kind = part.get("type", "text" if "text" in part else "image")
    if not isinstance(kind, str) or not (kind in TEXT_PARTS or PART.fullmatch(kind)):
        raise _wrong(f"{field}.type", "is not a kind of part", "text")
    if kind in TEXT_PARTS and not isinstance(part.get(TEXT_PARTS[kind]), str):
        raise _wrong(f"{field}.{TEXT_PARTS[kind]}", "is not a text", "a text")


def _wrong(field: str, fault: str, remedy: str) -> RequestError:
    return RequestError(400, f"{field}: {fault}; give {remedy}", param=field.partition(".")[0])
