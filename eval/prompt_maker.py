"""What the makers of prompts share: a tokenizer, a template, a seed, and a grid of lengths, tasks and samples."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, ClassVar, Protocol

from app.config import EvaluateConfig
from app.tokens import Tokenizer
from eval.fitting import fit
from eval.haystack import Haystack
from eval.prompt_frame import Prompt, PromptFrame
from eval.samples import Slot
from eval.token_text import TokenText, tokenize
from eval.weaving import weave


class Grid(Protocol):
    """Settings of a suite that asks as many samples of each task at each length."""

    @property
    def lengths_tokens(self) -> list[int]: ...

    @property
    def num_samples(self) -> int: ...


class PromptMaker:
    """Base of a suite's `SampleMaker`. Picklable: what was read and tokenized is not sent along.

    Args:
        config: Settings of the suite, and the template that stands around its prompts.
        tokenizer: Tokenizer of the model.
        seed: Decides all that is drawn.
    """

    suite: ClassVar[str]
    version: ClassVar[int]
    """Goes up when the same settings give other samples."""

    def __init__(self, config: EvaluateConfig, tokenizer: Tokenizer, seed: int) -> None:
        self._config, self._tokenizer, self._seed = config, tokenizer, seed

    def __reduce__(self) -> tuple[type["PromptMaker"], tuple[EvaluateConfig, Tokenizer, int]]:
        return type(self), (self._config, self._tokenizer, self._seed)

    def _identity(self, **own: Any) -> dict[str, Any]:
        """What the samples of all suites depend on, and the suite's own values: the seed, where something is drawn."""
        return {
            "suite": self.suite,
            "version": self.version,
            "tokenizer": self._tokenizer.fingerprint,
            "template": self._config.template,
            "template_arguments": self._config.sampling.template_arguments,
            **own,
        }

    def _tokens(self, text: str) -> TokenText:
        """Tokens of a text that is not ours: a control token in it must not end the turn that it stands in."""
        return tokenize(self._tokenizer, self._tokenizer.without_control_tokens(text))

    @cached_property
    def _frame(self) -> PromptFrame:
        return PromptFrame(self._tokenizer, self._config.template, self._config.sampling.template_arguments)


class WovenMaker(PromptMaker):
    """Base of a maker whose prompts are statements scattered over prose, and a question behind it."""

    @property
    def _text(self) -> str:
        """The prose."""
        raise NotImplementedError

    @cached_property
    def _haystack(self) -> Haystack:
        return Haystack.of_prose(self._tokenizer, self._text)

    def _woven_prompt(
        self, opening: str, placed: Sequence[tuple[float, str]], closing: str, limit_tokens: int
    ) -> Prompt:
        """The longest prompt of at most so many tokens.

        Args:
            opening: Before the prose.
            placed: Statements and their depths, from 0 to 1, ascending.
            closing: Behind the prose.
            limit_tokens: Of the whole prompt.

        Raises:
            UserError: The limit is too low for the statements.
        """
        before, behind = tokenize(self._tokenizer, opening), tokenize(self._tokenizer, closing)
        text = self._haystack.reaching(limit_tokens)
        # A bare text shows that the answer begins; a template has its own sign.
        answer_prefix = "\nAnswer:" if self._config.template == "base" else ""

        def build(index: int) -> Prompt:
            woven = weave(self._tokenizer, text, int(text.sentences[index]), placed)
            return self._frame.prompt([before, *woven, behind], answer_prefix)

        return fit(build, text.sentences, limit_tokens)


def grid_slots(settings: Grid, tasks: Iterable[str]) -> list[Slot]:
    """All samples: length by length, task by task."""
    tasks = list(tasks)
    return [
        Slot(task, length, index)
        for length in settings.lengths_tokens
        for task in tasks
        for index in range(settings.num_samples)
    ]
