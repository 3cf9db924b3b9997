"""What all families of tasks share: the frame around a prompt, its randomness, and its result."""

import random
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from app.tokens import Tokenizer
from eval.haystack import Haystack
from eval.prompt_frame import Prompt, PromptFrame
from eval.ruler.definitions import NOISE_LINE, Task
from eval.ruler.ingredients import Ingredients
from eval.ruler.variants import Variant
from eval.token_text import TokenText, tokenize


@dataclass(frozen=True, slots=True)
class Draft:
    """A prompt, and what its sample must know."""

    prompt: Prompt
    references: list[str]
    facts: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        """Tokens of the prompt."""
        return len(self.prompt)


@dataclass(frozen=True, slots=True)
class Dice:
    """The randomness of one sample: it depends on the sample alone, not on who makes it or what was made before.

    The reference shuffles some things alike in all samples (the numbered list, the coded words, the documents, whose
    evidence so has the same place in all), as it shuffles with the run's seed. Here each sample has its own order, but
    for the documents of a published protocol.
    """

    seed: int
    sample_id: str
    shared_seed: int | None = None
    """Shuffles the documents of all samples; None: each sample has an order of its own."""

    def stream(self, purpose: str) -> random.Random:
        """Random numbers for one purpose; from the beginning each time, so that a prompt may be built twice."""
        return random.Random(f"{self.seed}/{self.sample_id}/{purpose}")

    def order(self, purpose: str) -> random.Random:
        """Random numbers for the order of documents."""
        return self.stream(purpose) if self.shared_seed is None else random.Random(self.shared_seed)


@dataclass(frozen=True, slots=True)
class TaskFrame:
    """A task's texts in a model's template."""

    task: Task
    frame: PromptFrame
    variant: Variant

    def tokenize(self, text: str) -> TokenText:
        return tokenize(self.frame.tokenizer, text)

    def around(self, **values: object) -> tuple[str, str, str]:
        """The text before the context, after it, and at the start of the reply."""
        head, _, tail = self.task.template.partition("{context}")
        prefix = self.task.answer_prefix.format(**values)
        if self.variant.is_prefix_bare:
            prefix = prefix.strip()
        return head.format(**values), tail.format(**values), prefix

    def text(self, context: str, **values: object) -> str:
        """The question with its answer prefix, as a worked example has it."""
        head, tail, _ = self.around(**values)
        return f"{head}{context}{tail}{self.task.answer_prefix.format(**values)}"


class Haystacks:
    """The texts that several tasks hide things in, tokenized once."""

    def __init__(self, tokenizer: Tokenizer, ingredients: Ingredients) -> None:
        self._tokenizer = tokenizer
        self._ingredients = ingredients

    @cached_property
    def essays(self) -> Haystack:
        return Haystack.of_prose(self._tokenizer, self._ingredients.essays)

    @cached_property
    def noise(self) -> Haystack:
        return Haystack.of_lines(self._tokenizer, NOISE_LINE)


class Family(Protocol):
    """Makes the prompts of one task."""

    def draft(self, dice: Dice, index: int, limit_tokens: int, length_tokens: int) -> Draft:
        """A prompt filled up to its limit.

        Args:
            dice: Random generator of the sample.
            index: Index of the sample among those of its task and length.
            limit_tokens: Largest length of the prompt.
            length_tokens: Requested length of prompt and answer together.

        Raises:
            UserError: The length is too short for the task.
        """
