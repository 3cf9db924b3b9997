"""What surrounds every question: the chat template, or nothing, and the start of the reply."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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

    def prompt(self, content: Iterable[TokenText], answer_prefix: str = "") -> Prompt:
        """The whole prompt around what the user says; its tokens are what the model must read."""
        end = tokenize(self.tokenizer, self._tail + answer_prefix)
        joined = join(self.tokenizer, [self._head, *content, end])
        ids, ends = joined.ids, joined.ends
        if self._leading_id is not None:
            ids = np.concatenate([np.array([self._leading_id], np.int32), ids])
            ends = np.concatenate([np.zeros(1, np.int64), ends])
        return Prompt(joined.text, ids, ends, len(self._head.text), len(end.text), answer_prefix)
