"""A needle without a word of content in common with its question (NoLiMa's form, arXiv 2502.05167).

"Actually, Yuki lives next to the Brandenburg Gate." answers "Which character has been to Berlin?": no literal match
leads there, only knowledge of the world. The form of needle and question, and the score (the reply holds the name), are
those of the paper. What differs: needles are ours, with landmarks that small models know; distractors, sentences of the
same form about other people, are always there, so that no needle stands out by its form; the haystack is public-domain
prose without the sentences that name one of the people, landmarks, cities or countries, where the paper filters book
snippets with models. So scores are not to be compared with published ones.
"""

import hashlib
import random
from functools import cached_property
from typing import Any

from app.config import EvaluateConfig
from app.tokens import Tokenizer
from eval.fitting import fit
from eval.haystack import Haystack, read_text
from eval.nolima.associations import draw_association, without_names
from eval.prompt_frame import Prompt, PromptFrame
from eval.recall.prose import bundled_prose
from eval.samples import Sample, Slot
from eval.token_text import tokenize
from eval.weaving import weave

VERSION = 1
"""Goes up when the same settings give other samples."""
OPENING = "You will answer a question about the following text. Keep it in mind.\n\n"
CLOSING = (
    "\n\nAnswer from the text, and with what you know of the world. "
    "Question: {question} Answer with the name alone."
)


class NolimaMaker:
    """The samples: tasks `city` and `country`, the latter one step of association further.

    Args:
        config: `nolima`, and the template that stands around.
        tokenizer: Tokenizer of the model.
        seed: Decides all that is drawn.
    """

    def __init__(self, config: EvaluateConfig, tokenizer: Tokenizer, seed: int) -> None:
        self._config = config
        self._nolima = config.nolima
        self._tokenizer = tokenizer
        self._seed = seed

    def __reduce__(self) -> tuple[type["NolimaMaker"], tuple[EvaluateConfig, Tokenizer, int]]:
        return NolimaMaker, (self._config, self._tokenizer, self._seed)

    def identity(self) -> dict[str, Any]:
        """See `SampleMaker`."""
        return {
            "suite": "nolima",
            "version": VERSION,
            "num_distractors": self._nolima.num_distractors,
            "max_output_tokens": self._nolima.max_output_tokens,
            "text": hashlib.sha256(self._text.encode("utf-8", "replace")).hexdigest()[:16],
            "tokenizer": self._tokenizer.fingerprint,
            "template": self._config.template,
            "template_arguments": self._config.sampling.template_arguments,
            "seed": self._seed,
        }

    def slots(self) -> list[Slot]:
        """All samples: length by length, task by task."""
        return [
            Slot(task, length, index)
            for length in self._nolima.lengths_tokens
            for task in self._nolima.tasks
            for index in range(self._nolima.num_samples)
        ]

    def make(self, slot: Slot) -> Sample:
        """See `SampleMaker`. Needles and their places are the same at all lengths.

        Raises:
            UserError: The length is too short for the needles.
        """
        rng = random.Random(f"nolima {self._seed} {slot.task} {slot.index}")
        drawn = draw_association(rng, slot.task, self._nolima.num_distractors)
        statements = [drawn.needle, *drawn.distractors]
        depths = [rng.random() for _ in statements]
        placed = sorted(zip(depths, statements, strict=True))
        opening = tokenize(self._tokenizer, OPENING)
        closing = tokenize(self._tokenizer, CLOSING.format(question=drawn.question))
        limit = slot.length_tokens - self._nolima.max_output_tokens
        text = self._haystack.reaching(limit)

        def build(index: int) -> Prompt:
            woven = weave(self._tokenizer, text, int(text.sentences[index]), placed)
            return self._frame.prompt([opening, *woven, closing], self._answer_prefix)

        prompt = fit(build, text.sentences, limit)
        return Sample(
            sample_id=slot.sample_id,
            task=slot.task,
            length_tokens=slot.length_tokens,
            token_ids=prompt.ids,
            max_output_tokens=self._nolima.max_output_tokens,
            references=[drawn.answer],
            facts={
                "question": drawn.question,
                "needle": drawn.needle,
                "depths_percent": [round(100 * depths[0], 1)],
                "chance": 1 / len(statements),
            },
            content=prompt.content,
            answer_prefix=prompt.answer_prefix,
        )

    @property
    def _answer_prefix(self) -> str:
        """A bare text shows that the answer begins; a template has its own sign."""
        return "\nAnswer:" if self._config.template == "base" else ""

    @cached_property
    def _text(self) -> str:
        path = self._nolima.haystack
        return without_names(bundled_prose() if path is None else read_text("evaluate.nolima.haystack", path))

    @cached_property
    def _haystack(self) -> Haystack:
        return Haystack.of_prose(self._tokenizer, self._text)

    @cached_property
    def _frame(self) -> PromptFrame:
        return PromptFrame(self._tokenizer, self._config.template, self._config.sampling.template_arguments)
