"""Makes the samples of LongBench v2: the published prompt, cut in its middle where it is too long."""

from functools import cached_property
from typing import Any

from eval.longbench.questions import LETTERS, Question, read_questions
from eval.prompt_frame import Prompt
from eval.prompt_maker import PromptMaker
from eval.samples import Sample, Slot
from eval.token_text import join

OPENING = "Please read the following text and answer the question below.\n\n<text>\n"
CLOSING = (
    "\n</text>\n\nWhat is the correct answer to this question: {question}\nChoices:\n{choices}\n\n"
    'Format your response as follows: "The correct answer is (insert answer here)".'
)


class LongbenchMaker(PromptMaker):
    """The samples, in the order of the file. Nothing is drawn.

    Raises:
        UserError: The file cannot be read.
    """

    suite = "longbench"
    version = 1

    def identity(self) -> dict[str, Any]:
        """See `SampleMaker`. Questions are known by their ids: others may come or go, and what is answered stays."""
        longbench = self._config.longbench
        return self._identity(
            max_prompt_tokens=longbench.max_prompt_tokens, max_output_tokens=longbench.max_output_tokens
        )

    def slots(self) -> list[Slot]:
        """See `SampleMaker`."""
        output_tokens = self._config.longbench.max_output_tokens
        return [
            Slot(
                question.difficulty, len(self._prompt(question)[0]) + output_tokens, index, question.sample_id
            )
            for index, question in enumerate(self._questions)
        ]

    def make(self, slot: Slot) -> Sample:
        """See `SampleMaker`."""
        question = self._by_id[slot.sample_id]
        prompt, num_cut = self._prompt(question)
        return Sample(
            sample_id=slot.sample_id,
            task=slot.task,
            length_tokens=slot.length_tokens,
            token_ids=prompt.ids,
            max_output_tokens=self._config.longbench.max_output_tokens,
            references=[question.answer],
            facts={
                "question": question.question,
                "domain": question.domain,
                "words": question.length,
                "num_cut_tokens": num_cut,
                "num_prompt_tokens": len(prompt),
                "chance": 1 / len(LETTERS),
            },
            content=prompt.content,
        )

    def _prompt(self, question: Question) -> tuple[Prompt, int]:
        """The prompt, and how many tokens of its middle were left out."""
        choices = "\n".join(
            f"({letter}) {text.strip()}" for letter, text in zip(LETTERS, question.choices, strict=True)
        )
        closing = CLOSING.replace("{choices}", choices, 1).replace("{question}", question.question.strip(), 1)
        parts = [self._tokens(text) for text in (OPENING, question.context.strip(), closing)]
        limit = self._config.longbench.max_prompt_tokens
        whole = join(self._tokenizer, parts)
        num_cut = max(len(whole) - limit, 0)
        if num_cut:
            half = limit // 2
            parts = [whole.cut(0, half), whole.cut(len(whole) - (limit - half), len(whole))]
        return self._frame.prompt(parts), num_cut

    @cached_property
    def _questions(self) -> list[Question]:
        return read_questions(self._config.longbench)

    @cached_property
    def _by_id(self) -> dict[str, Question]:
        return {question.sample_id: question for question in self._questions}
