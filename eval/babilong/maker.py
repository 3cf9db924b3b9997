"""BABILong's form: a story's sentences in their order, scattered over the text of a book (arXiv 2406.10149).

People, places, things and score are those of BABILong's tasks qa1 to qa3. What differs: the stories are drawn here,
each as long as the settings say, and not taken from bAbI; the book is public-domain prose; and the instructions are
worded anew, with one example. So scores are not to be compared with published ones.
"""

import hashlib
import random
from functools import cached_property
from typing import Any

from app.config import BabilongConfig
from eval.babilong.stories import PLACES, draw_story
from eval.haystack import read_text
from eval.prompt_maker import WovenMaker, grid_slots
from eval.recall.prose import bundled_prose
from eval.samples import Sample, Slot

VERSION = 1
"""Goes up when the same settings give other samples."""
_CARRIED = (
    "Facts about what people carry stand in the text below, among others of no concern. Answer the question from the "
    "facts alone; a thing goes where its carrier goes, and stays where it is dropped.\n\n"
    "Example: Charlie went to the hallway. Charlie took the bottle there. Charlie moved to the office. "
)
OPENINGS = {
    1: "Facts about where people are stand in the text below, among others of no concern. Answer the question from "
    "the facts alone; a person is where they went last.\n\n"
    "Example: Charlie went to the hallway. Judith moved to the kitchen. Charlie travelled to the office. "
    "Where is Charlie?\nAnswer: Charlie is in the office.",
    2: f"{_CARRIED}Where is the bottle?\nAnswer: The bottle is in the office.",
    3: f"{_CARRIED}Where was the bottle before the office?\n"
    "Answer: Before the office the bottle was in the hallway.",
}
CONTEXT_OPENS, CONTEXT_CLOSES = "\n\n<context>\n", "\n</context>\nQuestion: "


class BabilongMaker(WovenMaker):
    """The samples: tasks `1hop`, `2hop` and `3hop`.

    Args:
        config: `babilong`, and the template that stands around.
        tokenizer: Tokenizer of the model.
        seed: Decides all that is drawn.
    """

    suite, version = "babilong", VERSION

    def identity(self) -> dict[str, Any]:
        """See `SampleMaker`."""
        return self._identity(
            seed=self._seed,
            num_facts=self._settings.num_facts,
            max_output_tokens=self._settings.max_output_tokens,
            text=hashlib.sha256(self._text.encode("utf-8", "replace")).hexdigest()[:16],
        )

    def slots(self) -> list[Slot]:
        """See `SampleMaker`."""
        return grid_slots(self._settings, (f"{hops}hop" for hops in self._settings.hops))

    def make(self, slot: Slot) -> Sample:
        """See `SampleMaker`. A story is the same at all lengths.

        Raises:
            UserError: The length is too short for the story.
        """
        hops = int(slot.task.removesuffix("hop"))
        rng = random.Random(f"babilong {self._seed} {slot.task} {slot.index}")
        story = draw_story(rng, hops, self._settings.num_facts)
        depths = sorted(rng.random() for _ in story.sentences)
        placed = list(zip(depths, story.sentences, strict=True))
        prompt = self._woven_prompt(
            OPENINGS[hops] + CONTEXT_OPENS,
            placed,
            f"{CONTEXT_CLOSES}{story.question}",
            slot.length_tokens - self._settings.max_output_tokens,
        )
        return Sample(
            sample_id=slot.sample_id,
            task=slot.task,
            length_tokens=slot.length_tokens,
            token_ids=prompt.ids,
            max_output_tokens=self._settings.max_output_tokens,
            references=[story.answer],
            facts={
                "question": story.question,
                "story": " ".join(story.sentences),
                "chance": 1 / (len(PLACES) - (hops == 3)),
            },
            content=prompt.content,
            answer_prefix=prompt.answer_prefix,
        )

    @cached_property
    def _text(self) -> str:
        path = self._settings.haystack
        return bundled_prose() if path is None else read_text("evaluate.babilong.haystack", path)

    @property
    def _settings(self) -> BabilongConfig:
        return self._config.babilong
