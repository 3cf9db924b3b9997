"""Makes the samples of all 13 tasks."""

from functools import cached_property
from typing import Any

from app.config import EvaluateConfig
from app.faults import UserError
from app.tokens import Tokenizer
from eval.prompt_frame import PromptFrame
from eval.ruler.common_words import CommonWordLists
from eval.ruler.definitions import (
    TASKS,
    CommonWords,
    FrequentWords,
    Needles,
    QuestionAnswering,
    Task,
    VariableTracking,
)
from eval.ruler.drafting import Dice, Family, Haystacks, TaskFrame
from eval.ruler.frequent_words import CodedWords
from eval.ruler.ingredients import Ingredients
from eval.ruler.inline_variables import InlineVariableChains, misspelt
from eval.ruler.needles import NeedlesInHaystack
from eval.ruler.question_answering import DocumentQuestions
from eval.ruler.variable_tracking import VariableChains
from eval.ruler.variants import REFERENCE_SEED, VARIANTS, Variant
from eval.samples import Sample, Slot

RULER_FORMAT = 1
"""Goes up when the same settings give other samples."""


class RulerMaker:
    """RULER's samples: a `SampleMaker`.

    Args:
        config: Which tasks and lengths, how many samples, and the template.
        tokenizer: Tokenizer of the model.
        seed: Decides all that is drawn.

    Raises:
        UserError: What a task is made of is missing.
    """

    def __init__(self, config: EvaluateConfig, tokenizer: Tokenizer, seed: int) -> None:
        self._config = config
        self._tokenizer = tokenizer
        self._seed = seed
        self._families: dict[str, Family] = {}
        self._ingredients = Ingredients(config.ruler)
        self._ingredients.check(self.tasks)

    def __reduce__(self) -> tuple[type["RulerMaker"], tuple[EvaluateConfig, Tokenizer, int]]:
        # What was read and tokenized here is not sent along.
        return RulerMaker, (self._config, self._tokenizer, self._seed)

    @property
    def tasks(self) -> list[str]:
        """Names of those that are asked for."""
        return self._config.ruler.tasks or list(TASKS)

    def identity(self) -> dict[str, Any]:
        """See `SampleMaker`."""
        return {
            "suite": "ruler",
            "format": RULER_FORMAT,
            "tokenizer": self._tokenizer.fingerprint,
            "template": self._config.template,
            "template_arguments": self._config.sampling.template_arguments,
            "seed": self._seed,
            "ingredients": self._ingredients.digests(),
            "protocol": self._config.ruler.protocol,
        }

    def slots(self) -> list[Slot]:
        """All samples: length by length, task by task."""
        settings = self._config.ruler
        return [
            Slot(task, length, index)
            for length in settings.lengths_tokens
            for task in self.tasks
            for index in range(settings.num_samples)
        ]

    def make(self, slot: Slot) -> Sample:
        """See `SampleMaker`.

        Raises:
            UserError: The length is too short for the task.
        """
        task = TASKS[slot.task]
        limit_tokens = slot.length_tokens - task.max_output_tokens
        try:
            shared_seed = REFERENCE_SEED if self._variant.is_order_shared else None
            draft = self._family(task).draft(
                Dice(self._seed, slot.sample_id, shared_seed), slot.index, limit_tokens, slot.length_tokens
            )
        except UserError as error:
            raise UserError(f"ruler, {slot.task} with {slot.length_tokens} tokens: {error}") from error
        return Sample(
            sample_id=slot.sample_id,
            task=slot.task,
            length_tokens=slot.length_tokens,
            token_ids=draft.prompt.ids,
            max_output_tokens=task.max_output_tokens,
            references=draft.references,
            facts=draft.facts,
            content=draft.prompt.content,
            answer_prefix=draft.prompt.answer_prefix,
        )

    def _family(self, task: Task) -> Family:
        if task.name not in self._families:
            self._families[task.name] = self._new_family(task)
        return self._families[task.name]

    def _new_family(self, task: Task) -> Family:
        frame = TaskFrame(task, self._frame, self._variant)
        match task.family:
            case Needles() as needles:
                return NeedlesInHaystack(frame, needles, self._ingredients, self._haystacks)
            case VariableTracking() as variables if self._variant.has_inline_variables:
                return InlineVariableChains(misspelt(frame), variables)
            case VariableTracking() as variables:
                return VariableChains(frame, variables, self._haystacks)
            case CommonWords() as words:
                return CommonWordLists(frame, words, self._ingredients)
            case FrequentWords() as words:
                return CodedWords(frame, words)
            case QuestionAnswering() as questions:
                return DocumentQuestions(frame, questions, self._ingredients)

    @property
    def _variant(self) -> Variant:
        return VARIANTS[self._config.ruler.protocol]

    @cached_property
    def _frame(self) -> PromptFrame:
        return PromptFrame(self._tokenizer, self._config.template, self._config.sampling.template_arguments)

    @cached_property
    def _haystacks(self) -> Haystacks:
        return Haystacks(self._tokenizer, self._ingredients)
