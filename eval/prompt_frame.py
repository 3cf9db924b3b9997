"""What surrounds every question: the chat template, or nothing, and the start of the reply."""

from collections.abc import Iterable
from typing import Literal

import numpy as np

from app.faults import UserError
from app.tokens import Tokenizer
from eval.token_text import Ids, TokenText, join, tokenize

_CONTENT = "LongstrapContent"


class PromptFrame:
    """A model's template, tokenized once.

    The answer prefix starts the model's reply, after the template's last token, as in RULER.

    Args:
        tokenizer: Tokenizer of the model.
        template: `chat`: one turn of the user in the model's own template. `base`: the text as it is, after the
            token that the tokenizer begins texts with, if there is one.

    Raises:
        UserError: The model has no chat template, or one that drops or repeats what the user says.
    """

    def __init__(self, tokenizer: Tokenizer, template: Literal["chat", "base"]) -> None:
        self.tokenizer = tokenizer
        self.template = template
        head, tail = "", ""
        if template == "chat":
            rendered = tokenizer.render([{"role": "user", "content": _CONTENT}], generation_prompt=True)
            head, found, tail = rendered.partition(_CONTENT)
            if not found or _CONTENT in tail:
                raise UserError(
                    f"{tokenizer.model}: its chat template does not show a user's message once; set "
                    f"evaluate.template base"
                )
        self._head, self._tail = tokenize(tokenizer, head), tail
        # A chat template spells it.
        self._leading_id = tokenizer.leading_id if template == "base" else None

    def prompt(self, content: Iterable[TokenText], answer_prefix: str = "") -> TokenText:
        """The whole prompt around what the user says; its tokens are what the model must read."""
        end = tokenize(self.tokenizer, self._tail + answer_prefix)
        joined = join(self.tokenizer, [self._head, *content, end])
        if self._leading_id is None:
            return joined
        return TokenText(
            joined.text,
            np.concatenate([np.array([self._leading_id], np.int32), joined.ids]),
            np.concatenate([np.zeros(1, np.int64), joined.ends]),
        )

    def chat_of(self, token_ids: Ids) -> list[dict[str, str]]:
        """A prompt as messages, for an endpoint that puts its own template around them.

        The answer prefix ends the question then: such endpoints have no place for the beginning of a reply.

        Args:
            token_ids: `[tokens]`: of `prompt`.
        """
        text = self.tokenizer.decode(token_ids.tolist())
        content, _, answer_prefix = text.removeprefix(self._head.text).partition(self._tail or "\0")
        return [{"role": "user", "content": content + answer_prefix}]
