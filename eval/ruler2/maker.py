"""Makes the samples of RULERv2: its prompts as they are, in the model's template."""

from functools import cached_property
from typing import Any

from eval.prompt_frame import Prompt
from eval.prompt_maker import PromptMaker
from eval.ruler2.questions import Question, read_questions
from eval.ruler2.scores import NUM_CHOICES, TASKS, Match
from eval.samples import Sample, Slot


class Ruler2Maker(PromptMaker):
    """The samples, in the order of the files. Nothing is drawn.

    Raises:
        UserError: The files cannot be read.
    """

    suite = "ruler2"
    version = 1

    def identity(self) -> dict[str, Any]:
        """See `SampleMaker`. Questions are known by their ids: others may come or go, and what is answered stays."""
        return self._identity(max_output_tokens=self._config.ruler2.max_output_tokens)

    def slots(self) -> list[Slot]:
        """See `SampleMaker`."""
        output_tokens = self._config.ruler2.max_output_tokens
        return [
            Slot(question.task, len(self._prompt(question)) + output_tokens, index, question.sample_id)
            for index, question in enumerate(self._questions)
        ]

    def make(self, slot: Slot) -> Sample:
        """See `SampleMaker`."""
        question = self._by_id[slot.sample_id]
        prompt = self._prompt(question)
        facts: dict[str, Any] = {"setup_tokens": question.setup_tokens, "num_prompt_tokens": len(prompt)}
        if TASKS[question.task] is Match.CHOICE:
            facts["chance"] = 1 / NUM_CHOICES
        return Sample(
            sample_id=slot.sample_id,
            task=slot.task,
            length_tokens=slot.length_tokens,
            token_ids=prompt.ids,
            max_output_tokens=self._config.ruler2.max_output_tokens,
            references=list(question.answers),
            facts=facts,
            content=prompt.content,
        )

    def _prompt(self, question: Question) -> Prompt:
        return self._frame.prompt([self._tokens(question.prompt)])

    @cached_property
    def _questions(self) -> list[Question]:
        return read_questions(self._config.ruler2)

    @cached_property
    def _by_id(self) -> dict[str, Question]:
        return {question.sample_id: question for question in self._questions}
