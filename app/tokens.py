"""The tokenizer: counting, offsets, and the chat template that lengths include."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from app.faults import UserError, one_line
from app.models.places import resolve_model
from app.schema import Message

TEMPLATE_DATE = datetime(2024, 7, 26)
"""Today, to templates that ask: a chat has the same tokens on whatever day it is rendered."""


@dataclass(frozen=True)
class Tokenizer:
    """A model's fast tokenizer, reduced to what Longstrap asks of it. Picklable: it loads where it is first used."""

    model: str
    revision: str | None = None

    @cached_property
    def _hf(self) -> Any:
        from transformers import AutoTokenizer

        source = resolve_model(self.model)
        try:
            tokenizer = AutoTokenizer.from_pretrained(source, revision=self.revision, trust_remote_code=False)
        # Each kind of tokenizer fails in its own way, some with a bare Exception out of Rust.
        except Exception as error:
            raise UserError(
                f"{self.model}: its tokenizer can't be loaded ({one_line(error)}); give one whose tokenizer is whole"
            ) from error
        if not tokenizer.is_fast:
            raise UserError(
                f"{self.model}: its tokenizer is a slow one without offsets; use a model with a fast one"
            )
        # Long documents are measured here, never fed to the model: its length warning would mislead.
        tokenizer.model_max_length = 10**12
        # Some files come with the cuts and fills of the model's own demo in them.
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()
        return tokenizer

    def __reduce__(self) -> tuple[type["Tokenizer"], tuple[str, str | None]]:
        return Tokenizer, (self.model, self.revision)

    @cached_property
    def control_tokens(self) -> list[str]:
        """Tokens that open or end a turn of a chat and so must not stand in a document, longest first."""
        template = str(self._hf.chat_template or "")
        ends = {self._hf.bos_token, self._hf.eos_token}
        special = {token.content for token in self._hf.added_tokens_decoder.values() if token.special}
        return sorted(
            (token for token in special if token in ends or token in template),
            key=lambda token: (-len(token), token),
        )

    def without_control_tokens(self, text: str) -> str:
        """A text with a blank for each control token: it must not end the turn that it stands in."""
        for token in self.control_tokens:
            text = text.replace(token, " ")
        return text

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all that decides how a text or a chat becomes tokens: the same for copies of a tokenizer."""
        ends = [self._hf.bos_token, self._hf.eos_token]
        parts = [json.loads(self._hf.backend_tokenizer.to_str()), self._hf.chat_template, ends]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def num_ids(self) -> int:
        """Ids that may come out: one more than the largest."""
        return max(self._hf.get_vocab().values()) + 1

    @cached_property
    def leading_id(self) -> int | None:
        """Token that the tokenizer puts before every text by itself; None: it puts none."""
        ids = self._hf.backend_tokenizer.encode("a", add_special_tokens=True).ids
        bos_id: int | None = self._hf.bos_token_id
        return bos_id if bos_id is not None and ids[0] == bos_id else None

    @property
    def eos_id(self) -> int | None:
        """Token that ends a text; None: the tokenizer knows of none."""
        eos_id: int | None = self._hf.eos_token_id
        return eos_id

    @property
    def separator_id(self) -> int | None:
        """Token to stand between documents that see each other: the beginning one, else the ending one."""
        bos_id: int | None = self._hf.bos_token_id
        return bos_id if bos_id is not None else self.eos_id

    def encode(self, text: str) -> list[int]:
        """Ids of a text's tokens, without special ones beside those that it spells."""
        return list(self._hf.backend_tokenizer.encode_batch_fast([text], add_special_tokens=False)[0].ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of tokens, special ones spelt out."""
        return str(self._hf.backend_tokenizer.decode(list(ids), skip_special_tokens=False))

    def encode_with_offsets(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """`encode` and `offsets` of a text at once."""
        encoding = self._hf.backend_tokenizer.encode_batch([text], add_special_tokens=False)[0]
        return list(encoding.ids), list(encoding.offsets)

    def count(self, text: str) -> int:
        """Tokens of a text by itself, without special tokens."""
        return self.count_batch([text])[0]

    def count_batch(self, texts: Sequence[str]) -> list[int]:
        """`count` of many texts. Batches are tokenized without the interpreter's lock."""
        encodings = self._hf.backend_tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [len(encoding.ids) for encoding in encodings]

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Character range `(start, end)` of every token of a text.

        Tokens that share a character (byte-level pieces of one) carry the same or overlapping ranges.
        """
        return list(self._hf.backend_tokenizer.encode_batch([text], add_special_tokens=False)[0].offsets)

    def truncate(self, text: str, max_tokens: int) -> str:
        """Longest prefix, cut at a token's border, of at most `max_tokens` tokens."""
        offsets = self.offsets(text)
        while len(offsets) > max_tokens:
            text = text[: offsets[max_tokens][0]]
            offsets = self.offsets(text)
        return text

    def render(
        self,
        messages: Sequence[Message],
        generation_prompt: bool = False,
        arguments: Mapping[str, Any] | None = None,
    ) -> str:
        """The chat as the model sees it.

        Args:
            messages: The chat.
            generation_prompt: Whether the reply of the assistant is begun.
            arguments: More of the template's arguments, such as `enable_thinking`.

        Raises:
            UserError: The model has no chat template.
        """
        if self._hf.chat_template is None:
            raise UserError(f"{self.model}: its tokenizer has no chat template; use an instruct model")
        return str(
            self._hf.apply_chat_template(
                list(messages),
                tokenize=False,
                add_generation_prompt=generation_prompt,
                **{"strftime_now": TEMPLATE_DATE.strftime, **(arguments or {})},
            )
        )

    def count_chat(self, messages: Sequence[Message]) -> int:
        """Tokens of a whole chat, template included: what `num_tokens` of an example means."""
        return self.count(self.render(messages))
