"""Makes the samples of AA-LCR: the documents of a set one after another, and the question behind them.

The prompt is the one of the data card of ArtificialAnalysis/AA-LCR, with its documents in the order of the row and its
texts as they are. What differs from the published runs: those ask each question several times and take the mean; here
it is asked once, and `evaluate.sampling` says how.
"""

import hashlib
from functools import cached_property
from itertools import groupby
from typing import Any

from app.config import EvaluateConfig
from app.tokens import Tokenizer
from eval.aalcr.questions import Documents, Question, documents_of, read_questions
from eval.prompt_frame import Prompt
from eval.prompt_maker import PromptMaker
from eval.samples import Sample, Slot
from eval.token_text import TokenText

OPENING = "BEGIN INPUT DOCUMENTS\n\n"
CLOSING = (
    "\n\nEND INPUT DOCUMENTS\n\nAnswer the following question using the input documents provided above.\n\n"
    "START QUESTION\n\n{question}\n\nEND QUESTION\n"
)


class AalcrMaker(PromptMaker):
    """The samples, those on the same documents one after another: a prefix cache reads the documents once.

    Raises:
        UserError: The files cannot be read.
    """

    suite = "aalcr"
    version = 1

    def __init__(self, config: EvaluateConfig, tokenizer: Tokenizer, seed: int) -> None:
        super().__init__(config, tokenizer, seed)
        self._tokenized: tuple[tuple[str, ...], TokenText] | None = None

    def identity(self) -> dict[str, Any]:
        """See `SampleMaker`. Questions are known by their ids: others may come or go, and what is answered stays."""
        return self._identity(max_output_tokens=self._config.aalcr.max_output_tokens)

    def slots(self) -> list[Slot]:
        """A sample counts as long as the longest of those on its documents, so that they stay together."""
        slots: list[Slot] = []
        for _, alike in groupby(self._questions, key=documents_of):
            questions = list(alike)
            longest = max(len(self._prompt(question)) for question in questions)
            num_tokens = longest + self._config.aalcr.max_output_tokens
            slots += [
                Slot(question.category, num_tokens, len(slots) + index, question.sample_id)
                for index, question in enumerate(questions)
            ]
        return slots

    def make(self, slot: Slot) -> Sample:
        """See `SampleMaker`."""
        question = self._by_id[slot.sample_id]
        prompt = self._prompt(question)
        return Sample(
            sample_id=slot.sample_id,
            task=slot.task,
            length_tokens=slot.length_tokens,
            token_ids=prompt.ids,
            max_output_tokens=self._config.aalcr.max_output_tokens,
            references=[question.answer],
            group=hashlib.sha256("\n".join(documents_of(question)).encode()).hexdigest()[:16],
            facts={"question": question.question, "num_prompt_tokens": len(prompt)},
            content=prompt.content,
        )

    def _prompt(self, question: Question) -> Prompt:
        closing = CLOSING.replace("{question}", question.question, 1)
        return self._frame.prompt([self._opening(question), self._tokens(closing)])

    def _opening(self, question: Question) -> TokenText:
        known = documents_of(question)
        if self._tokenized is None or self._tokenized[0] != known:
            texts = [
                f"BEGIN DOCUMENT {number}:\n{text}\nEND DOCUMENT {number}"
                for number, text in enumerate(self._documents.texts(question), 1)
            ]
            self._tokenized = (known, self._tokens(OPENING + "\n\n".join(texts)))
        return self._tokenized[1]

    @cached_property
    def _documents(self) -> Documents:
        return Documents(self._config.aalcr)

    @cached_property
    def _questions(self) -> list[Question]:
        return read_questions(self._config.aalcr)

    @cached_property
    def _by_id(self) -> dict[str, Question]:
        return {question.sample_id: question for question in self._questions}
