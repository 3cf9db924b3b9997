"""What surrounds every question: the chat template, or nothing, and the start of the reply."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from app.faults import UserError
from app.schema import Message
from app.tokens import Tokenizer
from eval.token_text import TokenText, join, tokenize

_CONTENT = "LongstrapContent"


@dataclass(frozen=True, slots=True, eq=False)
class Prompt(TokenText):
    """A whole prompt, which still knows what the user says in it."""

    num_head_chars: int
    """Of the text, those of the template before what the user says."""
    num_tail_chars: int
    """Those after it, the answer prefix included."""
    answer_prefix: str

    @property
    def content(self) -> str:
        """What the user says, without template and answer prefix."""
        return self.text[self.num_head_chars : len(self.text) - self.num_tail_chars]


class PromptFrame:
    """A model's template, tokenized once.

    The answer prefix starts the model's reply, after the template's last token, as in RULER.

    Args:
        tokenizer: Tokenizer of the model.
        template: `chat`: one turn of the user in the model's own template. `base`: the text as it is, after the
            token that the tokenizer begins texts with, if there is one.
        arguments: Arguments of the chat template, such as `enable_thinking`.

    Raises:
        UserError: The model has no chat template, or one that drops or repeats what the user says.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        template: Literal["chat", "base"],
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.template = template
        self._arguments = arguments
        head, tail = "", ""
        if template == "chat":
            asked: list[Message] = [{"role": "user", "content": _CONTENT}]
            rendered = tokenizer.render(asked, generation_prompt=True, arguments=arguments)
            head, found, tail = rendered.partition(_CONTENT)
            if not found or _CONTENT in tail:
                raise UserError(
                    f"{tokenizer.model}: its chat template does not show a user's message once; set "
                    f"evaluate.template base"
                )
        self._head, self._tail = tokenize(tokenizer, head), tail
        # A chat template spells it.
        self._leading_id = tokenizer.leading_id if template == "base" else None

    @property
    def around(self) -> tuple[str, str]:
        """The template's text before and after what the user says."""
        return self._head.text, self._tail

    def chat(
        self,
        turns: Sequence[tuple[TokenText, TokenText]],
        content: Iterable[TokenText],
        answer_prefix: str = "",
    ) -> Prompt:
        """The whole prompt of a chat with several turns; `base` spells the speakers out.

        Args:
            turns: What was said before, by the user and by the assistant.
            content: What the user says now.
            answer_prefix: The start of the reply.

        Raises:
            UserError: The template shows earlier turns in a way that is not known.
        """
        if not turns:
            return self.prompt(content, answer_prefix)
        between, after, head, tail = self._seams
        parts = [self._head if head is None else head]
        for number, (said, answered) in enumerate(turns):
            parts += [*([after] if number else []), said, between, answered]
        opening = [*parts, after]
        end = tokenize(self.tokenizer, (self._tail if tail is None else tail) + answer_prefix)
        num_head_chars = sum(len(part.text) for part in opening)
        return self._whole(
            join(self.tokenizer, [*opening, *content, end]), num_head_chars, end, answer_prefix
        )

    @cached_property
    def _seams(self) -> tuple[TokenText, TokenText, TokenText | None, str | None]:
        """What stands after the user's word and after the assistant's, and at both ends; None: as for one turn."""
        if self.template == "base":
            texts = [tokenize(self.tokenizer, text) for text in ("\nAssistant: ", "\nUser: ", "User: ")]
            return texts[0], texts[1], texts[2], "\nAssistant:"
        words = [f"{_CONTENT}{letter}" for letter in "ABCDE"]
        roles = ("user", "assistant", "user", "assistant", "user")
        chat = [Message(role=role, content=word) for role, word in zip(roles, words, strict=True)]
        rest = self.tokenizer.render(chat, generation_prompt=True, arguments=self._arguments)
        seams = []
        for word in words:
            seam, found, rest = rest.partition(word)
            seams.append(seam)
            if not found:
                raise self._unknown_turns()
        if seams[1] != seams[3] or seams[2] != seams[4] or _CONTENT in rest:
            raise self._unknown_turns()
        return (
            tokenize(self.tokenizer, seams[1]),
            tokenize(self.tokenizer, seams[2]),
            tokenize(self.tokenizer, seams[0]),
            rest,
        )

    def _unknown_turns(self) -> UserError:
        return UserError(
            f"{self.tokenizer.model}: its chat template does not show a user's and an assistant's turns alike each "
            f"time; set evaluate.template base, or leave out suites with several turns"
        )

    def prompt(self, content: Iterable[TokenText], answer_prefix: str = "") -> Prompt:
        """The whole prompt around what the user says; its tokens are what the model must read."""
        end = tokenize(self.tokenizer, self._tail + answer_prefix)
        joined = join(self.tokenizer, [self._head, *content, end])
        return self._whole(joined, len(self._head.text), end, answer_prefix)

    def _whole(self, joined: TokenText, num_head_chars: int, end: TokenText, answer_prefix: str) -> Prompt:
        ids, ends = joined.ids, joined.ends
        if self._leading_id is not None:
            ids = np.concatenate([np.array([self._leading_id], np.int32), ids])
            ends = np.concatenate([np.zeros(1, np.int64), ends])
        return Prompt(joined.text, ids, ends, num_head_chars, len(end.text), answer_prefix)
