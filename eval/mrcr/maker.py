"""MRCR: which of several like turns of a long chat is asked for?

The chat consists of requests for a piece of writing ("write a poem about tapirs") and of pieces. One request comes 2, 4
or 8 times, each time with another piece, and the last turn asks for the i-th of them, with a random string in front.
Requests, question and score are those of openai/mrcr. What differs: there the pieces are written by a model, and a
message in front of the chat holds worked examples; here the pieces are passages of public-domain prose, so that they
can be made offline to any length, and nothing in a piece tells what it answers. Prompts are filled up to their length,
which is the upper end of the card's bins. So scores are not to be compared with published ones.
"""

import hashlib
import random
import string
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from app.config import EvaluateConfig, MrcrConfig
from app.schema import Message
from app.tokens import Tokenizer
from eval.fitting import Sizes, fit
from eval.haystack import Haystack
from eval.mrcr.scores import match_ratio
from eval.niah import bundled_text
from eval.prompt_frame import Prompt
from eval.prompt_maker import PromptMaker, grid_slots
from eval.samples import Sample, Slot
from eval.token_text import TokenText, tokenize

VERSION = 2
"""Goes up when the same settings give other samples."""
QUESTION = (
    "Prepend {prefix} to the {place} (1 indexed) {kind} about {topic}. "
    "Do not include any other text in your response."
)
NUM_PREFIX_LETTERS = 10
PREFIX_TOKENS = 32
"""For the random string, in whatever tokenizer, and a full stop or two."""
KINDS = (
    "poem", "short story", "blog post", "news article", "social media post", "speech", "letter", "review", "riddle",
    "song",
)  # fmt: skip
TOPICS = (
    "tapirs", "rocks", "lighthouses", "bread", "winter", "bicycles", "volcanoes", "clocks", "gardens", "bees",
    "bridges", "tea", "maps", "owls", "rivers", "umbrellas", "chess", "islands", "trains", "mirrors", "apples",
    "storms", "violins", "deserts", "candles", "sailors", "foxes", "mountains", "kites", "libraries", "spiders",
    "harvests", "ladders", "moss", "comets", "markets", "wolves", "salt", "shoes", "tides",
)  # fmt: skip


_ENDINGS = {1: "st", 2: "nd", 3: "rd"}


class MrcrMaker(PromptMaker):
    """The samples: tasks `2 needles`, `4 needles` and so on.

    Args:
        config: `mrcr`, and the template that stands around.
        tokenizer: Tokenizer of the model.
        seed: Decides all that is drawn.
    """

    suite, version = "mrcr", VERSION

    def __init__(self, config: EvaluateConfig, tokenizer: Tokenizer, seed: int) -> None:
        super().__init__(config, tokenizer, seed)
        self._passages: dict[int, TokenText] = {}
        self._requests: dict[str, TokenText] = {}

    def identity(self) -> dict[str, Any]:
        """See `SampleMaker`."""
        return self._identity(
            seed=self._seed,
            reply_tokens=self._settings.reply_tokens,
            text=hashlib.sha256(bundled_text().encode()).hexdigest()[:16],
        )

    def slots(self) -> list[Slot]:
        """See `SampleMaker`."""
        return grid_slots(self._settings, (f"{num}needle" for num in self._settings.num_needles))

    def make(self, slot: Slot) -> Sample:
        """See `SampleMaker`.

        Raises:
            UserError: The length is too short for the needles.
        """
        num_needles = int(slot.task.removesuffix("needle"))
        rng = random.Random(f"mrcr {self._seed} {slot.sample_id}")
        kind, topic = rng.choice(KINDS), rng.choice(TOPICS)
        prefix = "".join(rng.choices(string.ascii_letters + string.digits, k=NUM_PREFIX_LETTERS))
        asked = rng.randrange(num_needles)
        order = list(range(len(self._cuts) - 1))
        rng.shuffle(order)
        pieces = [self._passage(number) for number in order[:num_needles]]
        places = sorted(rng.random() for _ in range(num_needles))
        others, sizes = self._distractors(rng, order[num_needles:], (kind, topic), slot.length_tokens)
        question = QUESTION.format(prefix=prefix, place=_ordinal(asked + 1), kind=kind, topic=topic)
        content = [tokenize(self._tokenizer, question)]
        request = self._request(kind, topic)

        def build(num_others: int) -> _Built:
            chat = list(others[:num_others])
            at: list[int] = []
            for place, piece in zip(places, pieces, strict=True):
                # Those before it have moved the rest up.
                at.append(round(place * num_others) + len(at))
                chat.insert(at[-1], (request, piece))
            return _Built(self._frame.chat(chat, content), chat, at)

        max_output_tokens = self._settings.reply_tokens + PREFIX_TOKENS
        built = fit(build, sizes, slot.length_tokens - max_output_tokens)
        answers = [prefix + piece.text for piece in pieces]
        # Who copies any of the needles, and does not know which.
        chance = sum(match_ratio(answer, answers[asked], prefix) for answer in answers) / num_needles
        return Sample(
            sample_id=slot.sample_id,
            task=slot.task,
            length_tokens=slot.length_tokens,
            token_ids=built.prompt.ids,
            max_output_tokens=max_output_tokens,
            references=[answers[asked]],
            facts={
                "prefix": prefix,
                "asked": asked + 1,
                "num_turns": len(built.chat),
                "depths_percent": [round(100 * place / len(built.chat), 1) for place in built.places],
                "chance": round(chance, 4),
            },
            content=built.prompt.content,
            history=[
                message
                for said, answered in built.chat
                for message in (
                    Message(role="user", content=said.text),
                    Message(role="assistant", content=answered.text),
                )
            ],
        )

    def _distractors(
        self, rng: random.Random, order: list[int], needle: tuple[str, str], length_tokens: int
    ) -> tuple[list[tuple[TokenText, TokenText]], Sizes]:
        """Turns with other requests, enough for the length, and the tokens of so many of them.

        Requests for the same topic or the same kind are among them. Passages come again where the text is used up.
        """
        turns: list[tuple[TokenText, TokenText]] = []
        sizes = [0]
        while sizes[-1] < length_tokens:
            request = (rng.choice(KINDS), rng.choice(TOPICS))
            if request == needle:
                continue
            turn = (self._request(*request), self._passage(order[len(turns) % len(order)]))
            turns.append(turn)
            sizes.append(sizes[-1] + len(turn[0]) + len(turn[1]) + self._turn_tokens)
        return turns, np.array(sizes, np.int64)

    @cached_property
    def _turn_tokens(self) -> int:
        """Tokens that the template puts around a turn's two texts."""
        word = tokenize(self._tokenizer, "word")
        one, two = (len(self._frame.chat([(word, word)] * num, [word])) for num in (1, 2))
        return two - one - 2 * len(word)

    def _request(self, kind: str, topic: str) -> TokenText:
        text = f"write a {kind} about {topic}"
        if text not in self._requests:
            self._requests[text] = tokenize(self._tokenizer, text)
        return self._requests[text]

    def _passage(self, number: int) -> TokenText:
        if number not in self._passages:
            first, last = self._cuts[number : number + 2]
            text = self._haystack.reaching(1).tokens.cut(first, last).text.strip()
            self._passages[number] = tokenize(self._tokenizer, text)
        return self._passages[number]

    @cached_property
    def _cuts(self) -> list[int]:
        """Ends of sentences in the text, about a piece of writing apart, never further."""
        text = self._haystack.reaching(1)
        cuts = [0]
        # A passage by itself may have a token more at its beginning.
        step = self._settings.reply_tokens - 2
        while cuts[-1] + step < len(text.tokens):
            place = text.last_up_to(text.sentences, cuts[-1] + step)
            cuts.append(place if place > cuts[-1] else cuts[-1] + step)
        return cuts

    @cached_property
    def _haystack(self) -> Haystack:
        return Haystack.of_prose(self._tokenizer, bundled_text())

    @property
    def _settings(self) -> MrcrConfig:
        return self._config.mrcr


@dataclass(frozen=True, slots=True)
class _Built:
    prompt: Prompt
    chat: list[tuple[TokenText, TokenText]]
    places: list[int]
    """Numbers of the turns that are needles."""

    def __len__(self) -> int:
        """Tokens of the prompt."""
        return len(self.prompt)


def _ordinal(number: int) -> str:
    return f"{number}{_ENDINGS.get(number, 'th')}"
