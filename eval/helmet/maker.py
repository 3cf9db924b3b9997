"""Makes the samples of HELMET: its prompts, whose context loses its end where it is too long.

Rows, examples and wording are those of HELMET's own code (princeton-nlp/HELMET). As there, the start of the reply
stands in the prompt if it is plain text (`evaluate.template: base`), and not behind a chat template. What differs:
HELMET's configurations ask these tasks as plain text, of chat models too; here `evaluate.template` decides.
"""

import hashlib
from functools import cached_property
from typing import Any

from app.config import EvaluateConfig
from app.faults import UserError
from app.tokens import Tokenizer
from eval.helmet.choosing import Demos, chosen_rows, key_name
from eval.helmet.definitions import TASKS, Definition
from eval.helmet.prompts import Parts, prompt_parts
from eval.helmet.rows import FIELD, Rows, data_file
from eval.prompt_frame import Prompt
from eval.prompt_maker import PromptMaker
from eval.samples import Sample, Slot


class HelmetMaker(PromptMaker):
    """The samples: length by length, task by task. Nothing is drawn by the seed.

    Raises:
        UserError: The files cannot be read.
    """

    suite = "helmet"
    version = 1

    def __init__(self, config: EvaluateConfig, tokenizer: Tokenizer, seed: int) -> None:
        super().__init__(config, tokenizer, seed)
        self._files: dict[tuple[str, int], _TaskFile] = {}

    def identity(self) -> dict[str, Any]:
        """See `SampleMaker`. Rows are known by their ids: others may come or go, and what is answered stays."""
        return self._identity()

    def slots(self) -> list[Slot]:
        """See `SampleMaker`."""
        helmet = self._config.helmet
        return [
            Slot(name, length, number, sample_id)
            for length in helmet.lengths_tokens
            for name in helmet.tasks or TASKS
            for number, sample_id in self._file(name, length).sample_ids()
        ]

    def make(self, slot: Slot) -> Sample:
        """See `SampleMaker`.

        Raises:
            UserError: A row lacks a field, or leaves no room for its context.
        """
        task = TASKS[slot.task]
        parts = self._file(slot.task, slot.length_tokens).parts(slot.index)
        is_text = self._config.template == "base"
        prompt, num_cut = self._prompt(parts, slot.length_tokens - task.max_output_tokens, is_text)
        return Sample(
            sample_id=slot.sample_id,
            task=slot.task,
            length_tokens=slot.length_tokens,
            token_ids=prompt.ids,
            max_output_tokens=task.max_output_tokens,
            references=parts.references,
            facts=parts.facts | {"num_cut_tokens": num_cut, "start": parts.start if is_text else ""},
            content=prompt.content,
            answer_prefix=prompt.answer_prefix,
        )

    def _prompt(self, parts: Parts, limit_tokens: int, is_text: bool) -> tuple[Prompt, int]:
        """The prompt, and how many tokens of its context were left out."""
        before, context, after = map(self._tokens, (parts.before, parts.context, parts.after))
        num_kept = len(context)
        while True:
            prompt = self._frame.prompt(
                [before, context.cut(0, num_kept), after], f"\n{parts.start}" if is_text else ""
            )
            if len(prompt) <= limit_tokens:
                return prompt, len(context) - num_kept
            num_kept -= len(prompt) - limit_tokens
            if num_kept < 1:
                raise UserError(
                    f"{FIELD}: the question {parts.facts['question']!r} leaves no room for its context; "
                    f"raise evaluate.helmet.lengths_tokens"
                )

    def _file(self, name: str, length_tokens: int) -> "_TaskFile":
        known = self._files.get((name, length_tokens))
        if known is None:
            known = _TaskFile(self._config, TASKS[name], length_tokens)
            self._files[name, length_tokens] = known
        return known


class _TaskFile:
    """The file of a task and length, which rows of it are asked, and their examples."""

    def __init__(self, config: EvaluateConfig, task: Definition, length_tokens: int) -> None:
        self._config, self._task, self._length_tokens = config, task, length_tokens
        self._rows = Rows(data_file(config.helmet, task.file(length_tokens)))

    def sample_ids(self) -> list[tuple[int, str]]:
        """Numbers of the rows that are asked, and ids that change with all that a row's prompt is made of."""
        demos = self._demo_rows.fingerprint if self._task.demos else ""
        found = []
        for number in self._chosen:
            content = hashlib.sha256(demos.encode() + self._rows.line(number)).hexdigest()[:8]
            found.append((number, f"{self._task.name}-{self._length_tokens}-{number:05}-{content}"))
        return found

    def parts(self, number: int) -> Parts:
        """The prompt of a row."""
        row = self._rows.row(number)
        demos = self._demos.of(row[self._key_name]) if self._task.demos else []
        return prompt_parts(self._task, row, demos)

    @cached_property
    def _chosen(self) -> dict[int, Any]:
        return chosen_rows(self._task, self._rows, self._config.helmet.num_samples)

    @cached_property
    def _key_name(self) -> str:
        return key_name(self._task, self._rows)

    @cached_property
    def _demo_rows(self) -> Rows:
        return Rows(data_file(self._config.helmet, self._task.demos))

    @cached_property
    def _demos(self) -> Demos:
        return Demos(self._task, self._demo_rows, self._key_name, list(self._chosen.values()))
