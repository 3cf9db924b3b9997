"""Needle in a haystack: a fact at some depth of a long text, and a question about it after the text.

All prompts of a trial begin alike: the haystack starts at the same place for all lengths and depths, and nothing that
differs stands before it. So a prompt shares all up to its needle with every prompt whose needle stands deeper, and a
server that caches prefixes computes the rest alone (`eval.prefill_share`).
"""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from app.config import EvaluateConfig, SourceConfig, identity
from app.corpus.reader import read_file
from app.corpus.sources import list_source
from app.faults import UserError
from app.schema import Document
from app.tokens import Tokenizer
from eval.fitting import fit
from eval.haystack import Borders, Haystack, RepeatedText, read_text
from eval.niah_needles import Needles, draw_needles, needles_asked_singly
from eval.prompt_frame import PromptFrame
from eval.samples import Sample, Slot
from eval.token_text import Ids, TokenText, join, tokenize

TASK = "niah"
VERSION = 1
"""Of the prompts: other ones are another set of samples."""
BUNDLED_TEXT = "bundled:public_domain_sample"
MAX_DOCUMENT_BYTES = 1 << 30
CHARS_PER_TOKEN = 8
"""No prose has so many: a longer text is not taken to its end, as it is tokenized in each process."""
OPENING_TOKENS = 16
MAX_SHIFT_SHARE = 0.05
"""Of the haystack: a needle whose next sentence border is further away stands between two words."""


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """The haystack of a trial, as long as its longest prompt. Positions are counted in tokens."""

    tokens: TokenText
    sentences: Borders
    """Positions after sentences, ascending from the beginning of the text."""
    cuts: Borders
    """Positions after words and sentences, ascending from the beginning of the text."""


@dataclass(frozen=True, slots=True, eq=False)
class SingleQuestion:
    """A question for one of the needles of a haystack, and its answer."""

    token_ids: Ids
    """`[tokens]`: the whole prompt, as a sample has it."""
    answer_ids: Ids
    """`[tokens]`: how the reply goes on when it begins with the reference."""
    depth_percent: float
    """Where the needle stands in the haystack."""


@dataclass(frozen=True, slots=True)
class _Longest:
    """Sizes of the longest of the prompts that share one haystack."""

    num_haystack_tokens: int
    num_prompt_tokens: int

    def __len__(self) -> int:
        return self.num_prompt_tokens


class NiahMaker:
    """The samples of a grid of lengths × depths × trials. A trial's needles are the same in all its cells.

    Args:
        config: `niah`, and the template that stands around.
        tokenizer: Tokenizer of the model that is asked.
        seed: Seed of keys, values and the positions where haystacks start.

    Raises:
        UserError: There is no haystack, or the model has no chat template.
    """

    def __init__(self, config: EvaluateConfig, tokenizer: Tokenizer, seed: int) -> None:
        self._config = config
        self._niah = config.niah
        self._tokenizer = tokenizer
        self._seed = seed
        self._lengths = sorted(config.niah.lengths_tokens, reverse=True)
        self._depths = sorted(config.niah.depths_percent, reverse=True)
        self._stretches: dict[int, Stretch] = {}
        self._num_haystack_tokens: dict[tuple[int, int], int] = {}

    def __reduce__(self) -> tuple[type["NiahMaker"], tuple[EvaluateConfig, Tokenizer, int]]:
        return NiahMaker, (self._config, self._tokenizer, self._seed)

    def identity(self) -> dict[str, Any]:
        """All that a sample depends on: more trials, or other lengths up to the longest, leave it as it is."""
        settings = identity(self._niah)
        for field in ("lengths_tokens", "num_trials", "haystack"):
            del settings[field]
        return {
            "suite": TASK,
            "version": VERSION,
            "niah": settings,
            "longest_tokens": self._lengths[0],
            "haystack": hashlib.sha256(self._text.encode("utf-8", "replace")).hexdigest(),
            "template": self._config.template,
            "tokenizer": self._tokenizer.fingerprint,
            "seed": self._seed,
        }

    def slots(self) -> list[Slot]:
        """Trial by trial the longest prompts first, and of these the one with the deepest needle: its prefix holds
        what the others of the trial begin with.
        """
        return [
            Slot(TASK, length, trial * len(self._depths) + index)
            for trial in range(self._niah.num_trials)
            for length in self._lengths
            for index in range(len(self._depths))
        ]

    def make(self, slot: Slot) -> Sample:
        """One cell of one trial.

        Raises:
            UserError: The length is too short for any haystack.
        """
        trial, index = divmod(slot.index, len(self._depths))
        depth = self._depths[index]
        needles, stretch = draw_needles(self._niah, self._seed, trial), self._stretch(trial)
        num_tokens = self._fitting_haystack(trial, slot.length_tokens, needles, stretch)
        places = needle_places(stretch, num_tokens, depth, len(needles.sentences))
        return Sample(
            sample_id=slot.sample_id,
            task=slot.task,
            length_tokens=slot.length_tokens,
            token_ids=self._prompt(needles, stretch, num_tokens, places).ids,
            max_output_tokens=self._niah.max_output_tokens,
            references=needles.references,
            group=f"{TASK}-{trial:05}",
            facts={
                "trial": trial,
                "depth_percent": depth,
                "needle_depths_percent": [round(100 * place / num_tokens, 3) for place in places],
                "haystack_tokens": num_tokens,
                "num_copies": self._haystack.num_copies(num_tokens),
                "keys": needles.keys,
                "values": needles.values,
            },
        )

    def ask_each(self, trial: int, length_tokens: int) -> list[SingleQuestion]:
        """The first depth's prompt of a trial once for each of its needles, with a question for that one alone.

        All prompts are the same up to the question.

        Raises:
            UserError: The length is too short for any haystack.
        """
        needles, stretch = draw_needles(self._niah, self._seed, trial), self._stretch(trial)
        num_tokens = self._fitting_haystack(trial, length_tokens, needles, stretch)
        places = needle_places(stretch, num_tokens, self._depths[-1], len(needles.sentences))
        return [
            self._single_question(asked, stretch, num_tokens, places, 100 * place / num_tokens)
            for asked, place in zip(needles_asked_singly(self._niah, needles), places, strict=True)
        ]

    def _single_question(
        self, asked: Needles, stretch: Stretch, num_tokens: int, places: list[int], depth_percent: float
    ) -> SingleQuestion:
        prompt = self._prompt(asked, stretch, num_tokens, places).ids
        blank = " " if asked.answer_prefix else ""
        answered = replace(asked, answer_prefix=f"{asked.answer_prefix}{blank}{asked.references[0]}")
        whole = self._prompt(answered, stretch, num_tokens, places).ids
        # The reference may change the last token of the prompt.
        least = min(len(prompt), len(whole))
        is_same = prompt[:least] == whole[:least]
        num_same = least if is_same.all() else int(is_same.argmin())
        return SingleQuestion(whole[:num_same], whole[num_same:], depth_percent)

    @cached_property
    def _frame(self) -> PromptFrame:
        return PromptFrame(self._tokenizer, self._config.template)

    @cached_property
    def _text(self) -> str:
        path = self._niah.haystack
        text = bundled_text() if path is None else read_text("evaluate.niah.haystack", path)
        return text[: CHARS_PER_TOKEN * self._lengths[0]]

    @cached_property
    def _haystack(self) -> Haystack:
        return Haystack.of_prose(self._tokenizer, self._text)

    @cached_property
    def _repeated(self) -> RepeatedText:
        """The haystack, repeated where the longest prompt takes it. Wherever one starts, nothing comes twice in a
        stretch that is no longer than one copy.
        """
        return self._haystack.reaching(self._lengths[0])

    def _stretch(self, trial: int) -> Stretch:
        if trial not in self._stretches:
            # Slots come trial by trial.
            self._stretches = {trial: self._cut_stretch(trial)}
        return self._stretches[trial]

    def _cut_stretch(self, trial: int) -> Stretch:
        repeated = self._repeated
        num_starts = min(len(repeated.tokens) - self._lengths[0] + 1, self._haystack.num_tokens)
        wanted = random.Random(f"niah haystack {self._seed} {trial}").randrange(num_starts)
        start = repeated.last_up_to(repeated.sentences, wanted)
        stop = start + self._lengths[0]
        # A sentence has the blank before it in its first token: without the blank it has other tokens.
        opening = repeated.tokens.cut(start, start + OPENING_TOKENS).text.lstrip()
        rest = repeated.tokens.cut(start + OPENING_TOKENS, stop)
        tokens = join(self._tokenizer, [tokenize(self._tokenizer, opening), rest])
        moved = len(tokens) - stop

        def moved_places(borders: Borders) -> Borders:
            inner = borders[(borders > start + 2 * OPENING_TOKENS) & (borders <= stop)] + moved
            return np.concatenate([np.zeros(1, np.int64), inner])

        return Stretch(tokens, moved_places(repeated.sentences), moved_places(repeated.words))

    def _fitting_haystack(self, trial: int, length_tokens: int, needles: Needles, stretch: Stretch) -> int:
        """Tokens of haystack with which the prompts of all depths stay within the length."""
        known = self._num_haystack_tokens
        if (trial, length_tokens) not in known:

            def build(index: int) -> _Longest:
                num_tokens = int(stretch.cuts[index])
                return _Longest(num_tokens, max(map(len, self._prompts(needles, stretch, num_tokens))))

            found = fit(build, stretch.cuts, length_tokens - self._niah.max_output_tokens).num_haystack_tokens
            if not found:
                raise UserError(
                    f"evaluate.niah.lengths_tokens: {length_tokens} leave no room for a haystack; give more"
                )
            known[trial, length_tokens] = found
        return known[trial, length_tokens]

    def _prompts(self, needles: Needles, stretch: Stretch, num_tokens: int) -> Iterator[TokenText]:
        """Those of one haystack, for all depths."""
        for depth in self._depths:
            places = needle_places(stretch, num_tokens, depth, len(needles.sentences))
            yield self._prompt(needles, stretch, num_tokens, places)

    def _prompt(self, needles: Needles, stretch: Stretch, num_tokens: int, places: list[int]) -> TokenText:
        tokenizer = self._tokenizer
        parts = [tokenize(tokenizer, f"{self._niah.introduction}\n")]
        before = 0
        for place, sentence in zip(places, needles.sentences, strict=True):
            parts.append(stretch.tokens.cut(before, place))
            parts.append(tokenize(tokenizer, f" {sentence}" if place else f"{sentence} "))
            before = place
        parts.append(stretch.tokens.cut(before, num_tokens))
        parts.append(tokenize(tokenizer, f"\n{needles.question}"))
        # A bare text runs on from the question; a template has put the end of a turn between.
        blank = " " if self._config.template == "base" and needles.answer_prefix else ""
        return self._frame.prompt(parts, blank + needles.answer_prefix)


def needle_places(stretch: Stretch, num_tokens: int, depth_percent: float, num_needles: int) -> list[int]:
    """Where the needles stand in the first tokens of a haystack, ascending.

    The first stands at the depth, and each has the same amount of text after it, up to the next one or the end: at 40%
    three needles stand at 40, 60 and 80%, as in the multi-needle test of LLMTest_NeedleInAHaystack.
    """
    depths = [depth_percent + (100 - depth_percent) * index / num_needles for index in range(num_needles)]
    places = []
    for wanted in (num_tokens * depth / 100 for depth in depths):
        place = _nearest(stretch.sentences, wanted, num_tokens)
        if abs(place - wanted) > MAX_SHIFT_SHARE * num_tokens:
            place = _nearest(stretch.cuts, wanted, num_tokens)
        places.append(place)
    return places


def bundled_text() -> str:
    """All documents of the bundled public-domain sample, one after another."""
    files = list_source(SourceConfig(path=BUNDLED_TEXT), "evaluate.niah.haystack")
    documents = (document for file in files for document in read_file(file, MAX_DOCUMENT_BYTES))
    return "\n\n".join(document.text for document in documents if isinstance(document, Document))


def _nearest(places: Borders, wanted: float, last: int) -> int:
    """The place next to the wanted one among those no further than the last."""
    index = int(np.searchsorted(places, wanted))
    near = [int(place) for place in places[max(index - 1, 0) : index + 1] if place <= last]
    return min(near, key=lambda place: abs(place - wanted))
