"""Makes the samples of a user's own questions."""

import hashlib
from functools import cached_property
from itertools import groupby
from typing import Any

from app.config import EvaluateConfig
from app.schema import Message
from app.tokens import Tokenizer
from eval.mine.questions import Question, read_questions
from eval.prompt_frame import Prompt
from eval.prompt_maker import PromptMaker
from eval.samples import Sample, Slot
from eval.token_text import TokenText, join


class MineMaker(PromptMaker):
    """The samples, those of a context one after another: the first is asked alone, and the others find it cached.

    A context with its first question opens the chat. Later turns have the earlier questions before them, with the right
    answers as the assistant's: so each turn is asked of the same chat, whatever the model replied to the ones before.

    Raises:
        UserError: The questions cannot be read.
    """

    suite = "mine"
    version = 1

    def __init__(self, config: EvaluateConfig, tokenizer: Tokenizer, seed: int) -> None:
        super().__init__(config, tokenizer, seed)
        self._mine = config.mine
        self._tokenized: tuple[str, TokenText] | None = None

    def identity(self) -> dict[str, Any]:
        """See `SampleMaker`. Questions are known by their ids: others may come or go, and what is answered stays."""
        return self._identity(prompt=self._mine.prompt, max_output_tokens=self._mine.max_output_tokens)

    def slots(self) -> list[Slot]:
        """A sample counts as long as the longest of those on its context, so that they stay together."""
        slots: list[Slot] = []
        for _, alike in groupby(self._questions, key=lambda question: question.context):
            questions = list(alike)
            longest = (
                max(len(self._prompt(question)) for question in questions) + self._mine.max_output_tokens
            )
            slots += [
                Slot(question.task, longest, len(slots) + index, question.sample_id)
                for index, question in enumerate(questions)
            ]
        return slots

    def make(self, slot: Slot) -> Sample:
        """See `SampleMaker`."""
        question = self._by_id[slot.sample_id]
        prompt = self._prompt(question)
        facts: dict[str, Any] = {
            "metric": question.metric,
            "question": question.question,
            "choices": list(question.choices),
            "num_prompt_tokens": len(prompt),
        }
        if question.metric == "multiple_choice":
            facts["chance"] = 1 / len(question.choices)
        return Sample(
            sample_id=slot.sample_id,
            task=slot.task,
            length_tokens=slot.length_tokens,
            token_ids=prompt.ids,
            max_output_tokens=self._mine.max_output_tokens,
            references=list(question.answers),
            group=_group(question.context),
            facts=facts,
            content=prompt.content,
            history=self._history(question),
        )

    def _history(self, question: Question) -> list[Message]:
        messages: list[Message] = []
        for index, turn in enumerate(question.before):
            said = (
                self._opening(question.context, turn.question)
                if index == 0
                else [self._tokens(turn.question)]
            )
            messages.append({"role": "user", "content": "".join(piece.text for piece in said)})
            messages.append({"role": "assistant", "content": turn.answer})
        return messages

    def _prompt(self, question: Question) -> Prompt:
        asked = [*(turn.question for turn in question.before), question.asked]
        # The context stands where the chat begins.
        opening = self._opening(question.context, asked[0])
        if not question.before:
            return self._frame.chat([], opening)
        said = [join(self._tokenizer, opening), *map(self._tokens, asked[1:])]
        answered = [self._tokens(turn.answer) for turn in question.before]
        return self._frame.chat(list(zip(said[:-1], answered, strict=True)), [said[-1]])

    def _opening(self, context: str, asked: str) -> list[TokenText]:
        if not context:
            return [self._tokens(asked)]
        before, _, after = self._mine.prompt.partition("{context}")
        pieces = (before.replace("{question}", asked), after.replace("{question}", asked))
        return [self._tokens(pieces[0]), self._context(context), self._tokens(pieces[1])]

    def _context(self, context: str) -> TokenText:
        if self._tokenized is None or self._tokenized[0] != context:
            self._tokenized = (context, self._tokens(context))
        return self._tokenized[1]

    @cached_property
    def _questions(self) -> list[Question]:
        return read_questions(self._mine)

    @cached_property
    def _by_id(self) -> dict[str, Question]:
        return {question.sample_id: question for question in self._questions}


def _group(context: str) -> str:
    """Samples of one context share what their prompts begin with; without a context they share nothing."""
    return hashlib.sha256(context.encode("utf-8", "replace")).hexdigest()[:16] if context else ""
