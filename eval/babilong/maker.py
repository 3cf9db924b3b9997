"""BABILong's form: a story's sentences in their order, scattered over the text of a book (arXiv 2406.10149).

People, places, things and score are those of BABILong's tasks qa1 to qa3. What differs: the stories are drawn here,
each as long as the settings say, and not taken from bAbI; the book is public-domain prose; and the instructions are
worded anew, with one example. So scores are not to be compared with published ones.
"""

import hashlib
import random
from functools import cached_property
from typing import Any

from app.config import EvaluateConfig
from app.tokens import Tokenizer
from eval.babilong.stories import PLACES, draw_story
from eval.fitting import fit
from eval.haystack import Haystack, read_text
from eval.prompt_frame import Prompt, PromptFrame
from eval.recall.prose import bundled_prose
from eval.samples import Sample, Slot
from eval.token_text import tokenize
from eval.weaving import weave

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


class BabilongMaker:
    """The samples: tasks `1hop`, `2hop` and `3hop`.

    Args:
        config: `babilong`, and the template that stands around.
        tokenizer: Tokenizer of the model.
        seed: Decides all that is drawn.
    """

    def __init__(self, config: EvaluateConfig, tokenizer: Tokenizer, seed: int) -> None:
        self._config = config
        self._babilong = config.babilong
        self._tokenizer = tokenizer
        self._seed = seed

    def __reduce__(self) -> tuple[type["BabilongMaker"], tuple[EvaluateConfig, Tokenizer, int]]:
        return BabilongMaker, (self._config, self._tokenizer, self._seed)

    def identity(self) -> dict[str, Any]:
        """See `SampleMaker`."""
        return {
            "suite": "babilong",
            "version": VERSION,
            "num_facts": self._babilong.num_facts,
            "max_output_tokens": self._babilong.max_output_tokens,
            "text": hashlib.sha256(self._text.encode("utf-8", "replace")).hexdigest()[:16],
            "tokenizer": self._tokenizer.fingerprint,
            "template": self._config.template,
            "template_arguments": self._config.sampling.template_arguments,
            "seed": self._seed,
        }

    def slots(self) -> list[Slot]:
        """All samples: length by length, by number of hops."""
        return [
            Slot(f"{hops}hop", length, index)
            for length in self._babilong.lengths_tokens
            for hops in self._babilong.hops
            for index in range(self._babilong.num_samples)
        ]

    def make(self, slot: Slot) -> Sample:
        """See `SampleMaker`. A story is the same at all lengths.

        Raises:
            UserError: The length is too short for the story.
        """
        hops = int(slot.task.removesuffix("hop"))
        rng = random.Random(f"babilong {self._seed} {slot.task} {slot.index}")
        story = draw_story(rng, hops, self._babilong.num_facts)
        depths = sorted(rng.random() for _ in story.sentences)
        placed = list(zip(depths, story.sentences, strict=True))
        opening = tokenize(self._tokenizer, OPENINGS[hops] + CONTEXT_OPENS)
        closing = tokenize(self._tokenizer, f"{CONTEXT_CLOSES}{story.question}")
        limit = slot.length_tokens - self._babilong.max_output_tokens
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
            max_output_tokens=self._babilong.max_output_tokens,
            references=[story.answer],
            facts={
                "question": story.question,
                "story": " ".join(story.sentences),
                "chance": 1 / (len(PLACES) - (hops == 3)),
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
        path = self._babilong.haystack
        return bundled_prose() if path is None else read_text("evaluate.babilong.haystack", path)

    @cached_property
    def _haystack(self) -> Haystack:
        return Haystack.of_prose(self._tokenizer, self._text)

    @cached_property
    def _frame(self) -> PromptFrame:
        return PromptFrame(self._tokenizer, self._config.template, self._config.sampling.template_arguments)
