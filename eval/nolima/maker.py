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

from app.config import NolimaConfig
from eval.haystack import read_text
from eval.nolima.associations import draw_association, without_names
from eval.prompt_maker import WovenMaker, grid_slots
from eval.recall.prose import bundled_prose
from eval.samples import Sample, Slot

VERSION = 1
"""Goes up when the same settings give other samples."""
OPENING = "You will answer a question about the following text. Keep it in mind.\n\n"
CLOSING = (
    "\n\nAnswer from the text, and with what you know of the world. "
    "Question: {question} Answer with the name alone."
)


class NolimaMaker(WovenMaker):
    """The samples: tasks `city` and `country`, the latter one step of association further.

    Args:
        config: `nolima`, and the template that stands around.
        tokenizer: Tokenizer of the model.
        seed: Decides all that is drawn.
    """

    suite, version = "nolima", VERSION

    def identity(self) -> dict[str, Any]:
        """See `SampleMaker`."""
        return self._identity(
            seed=self._seed,
            num_distractors=self._settings.num_distractors,
            max_output_tokens=self._settings.max_output_tokens,
            text=hashlib.sha256(self._text.encode("utf-8", "replace")).hexdigest()[:16],
        )

    def slots(self) -> list[Slot]:
        """See `SampleMaker`."""
        return grid_slots(self._settings, self._settings.tasks)

    def make(self, slot: Slot) -> Sample:
        """See `SampleMaker`. Needles and their places are the same at all lengths.

        Raises:
            UserError: The length is too short for the needles.
        """
        rng = random.Random(f"nolima {self._seed} {slot.task} {slot.index}")
        drawn = draw_association(rng, slot.task, self._settings.num_distractors)
        statements = [drawn.needle, *drawn.distractors]
        depths = [rng.random() for _ in statements]
        placed = sorted(zip(depths, statements, strict=True))
        prompt = self._woven_prompt(
            OPENING,
            placed,
            CLOSING.format(question=drawn.question),
            slot.length_tokens - self._settings.max_output_tokens,
        )
        return Sample(
            sample_id=slot.sample_id,
            task=slot.task,
            length_tokens=slot.length_tokens,
            token_ids=prompt.ids,
            max_output_tokens=self._settings.max_output_tokens,
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

    @cached_property
    def _text(self) -> str:
        path = self._settings.haystack
        return without_names(bundled_prose() if path is None else read_text("evaluate.nolima.haystack", path))

    @property
    def _settings(self) -> NolimaConfig:
        return self._config.nolima
