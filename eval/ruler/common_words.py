"""cwe: a numbered list of words in which ten occur more often than the others."""

from functools import cached_property

import numpy as np
import numpy.typing as npt

from eval.fitting import Sizes, fit
from eval.ruler.definitions import CommonWords, WordCounts
from eval.ruler.drafting import Dice, Draft, TaskFrame
from eval.ruler.ingredients import Ingredients

_PROBED_NUMBERS = 8
_MAX_DIGITS = 7
_PROBED_WORDS = 256
_TOKENS_OF_ENTRY = 8
"""About, which is enough to know how many digits numbers have."""
_RESERVE = 1.25
"""So many times the words that a list takes, by an estimate, are kept ready."""


class CommonWordLists:
    """Prompts of the task, each with a worked example in front.

    The example stands in the same turn as the question, as in NVIDIA's present pipeline (`--prepare_for_ns`); with
    another template than its base one the script itself repeats the template and so makes the example a turn, as is
    done for its protocols.

    Words come from wonderwords' lists where these suffice, else all of them from a dictionary, as in the reference.
    """

    def __init__(self, frame: TaskFrame, settings: CommonWords, ingredients: Ingredients) -> None:
        self._frame = frame
        self._settings = settings
        self._ingredients = ingredients
        self._word_tokens: dict[str, int] = {}

    def draft(self, dice: Dice, index: int, limit_tokens: int, length_tokens: int) -> Draft:
        """See `Family`."""
        is_short = length_tokens < self._settings.short_below_tokens
        counts = self._settings.short_counts if is_short else self._settings.counts
        example = self._example(dice, counts)
        least_words = self._settings.num_common
        words = self._ingredients.list_words
        sampled = dice.stream("words").sample(words, len(words))
        sizes = self._sizes(sampled, counts)
        least = self._build(dice, example, sampled[:least_words], counts)
        if int(sizes[-1]) - int(sizes[0]) + len(least) <= limit_tokens:
            dictionary = self._ingredients.dictionary
            num_words = least_words + self._words_of(limit_tokens, dictionary, counts)
            sampled = dice.stream("words").sample(dictionary, min(num_words, len(dictionary)))
            sizes = self._sizes(sampled, counts)
        return fit(
            lambda size: self._build(dice, example, sampled[: least_words + size], counts),
            sizes,
            limit_tokens,
        )

    def _build(self, dice: Dice, example: str, words: list[str], counts: WordCounts) -> Draft:
        common = words[: self._settings.num_common]
        repeats = (counts.num_common_repeats, counts.num_other_repeats)
        question = self._question(self._list(dice, "order", words, *repeats))
        _, _, prefix = self._frame.around()
        head = self._frame.frame.around[0] if self._frame.variant.has_example_turn else ""
        prompt = self._frame.frame.prompt([self._frame.tokenize(f"{example}\n{head}{question}")], prefix)
        facts = {"num_units": len(words), "num_copies": 1}
        return Draft(prompt, common, facts)

    def _example(self, dice: Dice, counts: WordCounts) -> str:
        words = dice.stream("example words").sample(self._ingredients.list_words, counts.num_example_words)
        repeats = (counts.num_example_common_repeats, counts.num_example_other_repeats)
        context = self._list(dice, "example order", words, *repeats)
        answer = _numbered(words[: self._settings.num_common])
        variant = self._frame.variant
        if not variant.has_example_turn:
            return f"{self._frame.text(context)} {answer}"
        # The template stands around the example, too.
        _, tail = self._frame.frame.around
        return f"{self._question(context)}{tail}{self._frame.task.answer_prefix}{variant.example_gap}{answer}"

    def _list(self, dice: Dice, purpose: str, words: list[str], num_common: int, num_other: int) -> str:
        common, others = words[: self._settings.num_common], words[self._settings.num_common :]
        entries = common * num_common + others * num_other
        dice.stream(purpose).shuffle(entries)
        return _numbered(entries)

    def _question(self, context: str) -> str:
        head, tail, _ = self._frame.around()
        return f"{head}{context}{tail}"

    def _words_of(self, num_tokens: int, dictionary: list[str], counts: WordCounts) -> int:
        """Words, rather too many, that a list of so many tokens has."""
        probed = dictionary[:: max(len(dictionary) // _PROBED_WORDS, 1)]
        num_entries = num_tokens // _TOKENS_OF_ENTRY
        per_number = float(self._number_tokens(np.array([num_entries]))[0]) / num_entries
        per_entry = per_number + float(self._tokens_of(probed).mean())
        return int(_RESERVE * num_tokens / (counts.num_other_repeats * per_entry))

    def _sizes(self, words: list[str], counts: WordCounts) -> Sizes:
        """About how many tokens the list has with the common words alone, with one more, and so on."""
        num_common = self._settings.num_common
        tokens = self._tokens_of(words)
        num_entries = num_common * counts.num_common_repeats + counts.num_other_repeats * np.arange(
            len(words) - num_common + 1
        )
        others = np.concatenate([[0], np.cumsum(tokens[num_common:])]) * counts.num_other_repeats
        common = int(tokens[:num_common].sum()) * counts.num_common_repeats
        return np.asarray(common + others + self._number_tokens(num_entries), np.int64)

    def _tokens_of(self, words: list[str]) -> npt.NDArray[np.int64]:
        missing = [word for word in words if word not in self._word_tokens]
        counted = self._frame.frame.tokenizer.count_batch([f" {word}" for word in missing])
        self._word_tokens.update(zip(missing, counted, strict=True))
        return np.array([self._word_tokens[word] for word in words], np.int64)

    def _number_tokens(self, num_entries: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Tokens of all numbers up to these, with blank and dot."""
        total = np.zeros(len(num_entries))
        for num_digits, tokens in enumerate(self._tokens_of_digits, start=1):
            first = 10 ** (num_digits - 1)
            total += tokens * np.clip(num_entries - first + 1, 0, 9 * first)
        return total

    @cached_property
    def _tokens_of_digits(self) -> list[float]:
        """Mean tokens of a list number, blank and dot included, by its number of digits."""
        means = []
        for num_digits in range(1, _MAX_DIGITS + 1):
            first = 10 ** (num_digits - 1)
            numbers = range(first, 10 * first, max(first, 9 * first // _PROBED_NUMBERS))
            counted = self._frame.frame.tokenizer.count_batch([f" {number}." for number in numbers])
            means.append(sum(counted) / len(counted))
        return means


def _numbered(words: list[str]) -> str:
    return " ".join(f"{number}. {word}" for number, word in enumerate(words, start=1))
