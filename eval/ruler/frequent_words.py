"""fwe: coded words whose frequencies fall with their rank, in one long shuffled text."""

import random
import string

import numpy as np
import numpy.typing as npt

from eval.fitting import fit
from eval.ruler.definitions import FrequentWords
from eval.ruler.drafting import Dice, Draft, TaskFrame

_LEAST_SCALE = 32.0
"""From here on the frequencies of the first four ranks differ."""


class CodedWords:
    """Prompts of the task.

    The word of rank k stands floor(scale · k^-alpha) times in the text. The reference steps the scale by a 32nd of the
    length and so leaves up to that much of it empty; here it grows word by word. (Its factor 1/zeta(alpha) is part of
    the scale.)
    """

    def __init__(self, frame: TaskFrame, settings: FrequentWords) -> None:
        self._frame = frame
        self._settings = settings

    def draft(self, dice: Dice, index: int, limit_tokens: int, length_tokens: int) -> Draft:
        """See `Family`."""
        settings = self._settings
        num_words = max(limit_tokens // settings.tokens_per_word, settings.num_asked + 2)
        vocabulary = self._vocabulary(dice.stream("vocabulary"), num_words)
        asked = vocabulary[1 : settings.num_asked + 1]
        ranks, least = self._growth(len(vocabulary), limit_tokens)
        counted = self._frame.frame.tokenizer.count_batch([f" {word}" for word in vocabulary])
        sizes = np.cumsum(np.array(counted, np.int64)[ranks])[least:]
        head, tail, prefix = self._frame.around()

        def build(size: int) -> Draft:
            words = [vocabulary[rank] for rank in ranks[: least + size + 1]]
            dice.stream("order").shuffle(words)
            content = self._frame.tokenize(f"{head}{' '.join(words)}{tail}")
            facts = {"num_units": len(words), "num_copies": 1, "vocabulary_size": len(vocabulary)}
            return Draft(self._frame.frame.prompt([content], prefix), asked, facts)

        return fit(build, sizes, limit_tokens)

    def _vocabulary(self, rng: random.Random, num_words: int) -> list[str]:
        """By rank."""
        words: dict[str, None] = {self._settings.dots: None}
        while len(words) < num_words:
            words["".join(rng.choices(string.ascii_lowercase, k=self._settings.num_letters))] = None
        return list(words)

    def _growth(self, num_ranks: int, num_words: int) -> tuple[npt.NDArray[np.int64], int]:
        """In which order words come in while the text grows.

        Returns:
            `[words]`: the rank of each, from 0, at least so many; and the index of the first word that a text may end
            with.
        """
        scale = max(float(num_words), _LEAST_SCALE)
        weights = np.arange(1, num_ranks + 1, dtype=np.float64) ** self._settings.alpha
        num_times = np.floor(scale / weights).astype(np.int64)
        ranks = np.repeat(np.arange(num_ranks), num_times)
        firsts = np.cumsum(num_times) - num_times
        times = np.arange(1, len(ranks) + 1) - firsts[ranks]
        # The scale from which on a word of this rank stands there for this time.
        scales = times * weights[ranks]
        order = np.argsort(scales, kind="stable")
        return ranks[order], int(np.searchsorted(scales[order], _LEAST_SCALE, side="right")) - 1
