"""One training row → token ids, and which of them count in the loss: all, and the assistant's only.

Both ways of learning are kept side by side as bits, so that a stage may choose without tokenizing again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from app.faults import one_line
from app.schema import Message
from app.tokens import Tokenizer

Loss = Literal["all", "response"]
TARGET_BITS: dict[Loss, int] = {"all": 1, "response": 2}
"""Which bit of a token says that it is learned."""


class UntrainableRowError(Exception):
    """A row that no training can use; `str()` of it is a short, countable reason."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.detail = detail


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A tokenized chat or text."""

    tokens: np.ndarray
    """int32 `[num_tokens]`."""
    target_bits: np.ndarray
    """uint8 `[num_tokens]`: a sum of `TARGET_BITS`. The first token, which nothing precedes, is never learned."""
    no_response: str = ""
    """Why there is nothing to learn from the assistant's turns; empty where there is."""
    detail: str = ""

    def num_targets(self, loss: Loss) -> int:
        """Tokens that are learned."""
        return int(np.count_nonzero(self.target_bits & TARGET_BITS[loss]))


def tokenize_text(tokenizer: Tokenizer, text: str) -> TokenRow:
    """A plain text between the tokens that begin and end one; it has nothing for the loss on responses."""
    ids = tokenizer.encode(text)
    if not ids:
        raise UntrainableRowError("no token")
    if tokenizer.leading_id is not None:
        ids.insert(0, tokenizer.leading_id)
    if tokenizer.eos_id is not None:
        ids.append(tokenizer.eos_id)
    return TokenRow(np.array(ids, np.int32), _learn_all(len(ids)), no_response="a text has no response")


def tokenize_chat(tokenizer: Tokenizer, messages: Sequence[Message]) -> TokenRow:
    """A chat under the model's template, token for token what `Tokenizer.count_chat` counts.

    Learned as responses are the tokens that begin inside an assistant's turn: after the words that ask the model to
    speak, up to the token that ends the turn.

    Raises:
        UntrainableRowError: The template refuses the chat, a message would end its turn by itself, or an answer is
            empty.
    """
    for message in messages:
        for token in tokenizer.control_tokens:
            # Templates write a role as it stands.
            if token in message["content"] or token in message["role"]:
                raise UntrainableRowError("control token", f"{message['role']} says {token}")
    for number, message in enumerate(messages, start=1):
        if message["role"] == "assistant" and not message["content"].strip():
            # It would teach to end a turn at once.
            raise UntrainableRowError("empty answer", f"message {number} of {len(messages)}")
    rendered = _render(tokenizer, messages)
    ids, offsets = tokenizer.encode_with_offsets(rendered)
    if not ids:
        raise UntrainableRowError("no token")
    tokens, bits = np.array(ids, np.int32), _learn_all(len(ids))
    try:
        spans = list(_response_spans(tokenizer, messages, rendered))
    except UntrainableRowError as error:
        return TokenRow(tokens, bits, no_response=str(error), detail=error.detail)
    token_starts = np.array(offsets, np.int64)[:, 0]
    for start_char, end_char in spans:
        inside = (token_starts >= start_char) & (token_starts < end_char)
        bits[inside] |= TARGET_BITS["response"]
    bits[0] = 0
    row = TokenRow(tokens, bits)
    return row if row.num_targets("response") else TokenRow(tokens, bits, no_response="no assistant's turn")


def _learn_all(num_tokens: int) -> np.ndarray:
    bits = np.full(num_tokens, TARGET_BITS["all"], np.uint8)
    bits[0] = 0
    return bits


def _render(tokenizer: Tokenizer, messages: Sequence[Message], generation_prompt: bool = False) -> str:
    # Here, so that only who has chats needs the package.
    from jinja2 import TemplateError

    try:
        return tokenizer.render(messages, generation_prompt)
    except (TemplateError, TypeError, ValueError, IndexError) as error:
        raise UntrainableRowError("refused by the chat template", one_line(error)) from error


def _response_spans(
    tokenizer: Tokenizer, messages: Sequence[Message], rendered: str
) -> Iterator[tuple[int, int]]:
    """Character ranges of the assistant's turns, each with the token that ends it."""
    for index, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        prompt = _render(tokenizer, messages[:index], generation_prompt=True)
        is_last = index == len(messages) - 1
        turn_end = rendered if is_last else _render(tokenizer, messages[: index + 1])
        if not turn_end.startswith(prompt) or not rendered.startswith(turn_end):
            raise UntrainableRowError(
                "the chat template rewrites earlier turns", f"message {index + 1} of {len(messages)}"
            )
        # Space after the ending token belongs to the template, not to the model.
        kept = turn_end.rstrip()
        ends = kept.endswith(tuple(tokenizer.control_tokens)) if tokenizer.control_tokens else False
        yield len(prompt), len(kept) if ends else len(turn_end)
