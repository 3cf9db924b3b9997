"""Words that carry a text's subject, weighted by how rare they are in the corpus."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

MIN_COMMON_TEXTS = 4
"""A word of fewer texts is rare however few texts there are: in a small corpus, a name stands in several."""
RARE_SHARE = 0.01
"""A word that stands in fewer of the corpus's passages counts in full; one that stands in all counts for nothing."""

_WORD = re.compile(r"\w{2,}")
_NAME_BEFORE = re.compile(r"[\w,;)\"'’]\s+$")


def specific_words(text: str) -> set[str]:
    """Names and numbers in lower case: words with a capital inside a sentence, and those with a digit."""
    found: set[str] = set()
    for match in _WORD.finditer(text):
        word = match.group()
        is_inside = _NAME_BEFORE.search(text, max(match.start() - 3, 0), match.start()) is not None
        if any(letter.isdigit() for letter in word) or (word[0].isupper() and is_inside):
            found.add(word.lower())
    return found


def has_capitals(words: Iterable[str]) -> bool:
    """Whether the words' script has capitals, so that names can be told from other words."""
    return any(letter.islower() or letter.isupper() for word in words for letter in word)


@dataclass(frozen=True)
class WordWeights:
    """How much a word tells about a subject: 1.0 if it is rare in the corpus, 0.0 if every passage holds it."""

    shares: Mapping[str, float] = field(default_factory=dict)
    """Word → share of the corpus's passages that hold it; words that are missing are rare."""

    def is_rare(self, word: str) -> bool:
        return self.shares.get(word, 0.0) < RARE_SHARE

    def total(self, words: Iterable[str]) -> float:
        """Weight of several words together."""
        return sum(
            math.log(max(self.shares.get(word, 0.0), RARE_SHARE)) / math.log(RARE_SHARE) for word in words
        )


UNWEIGHTED = WordWeights()
"""Every word is taken for a rare one."""


def common_shares(word_sets: Iterable[set[str]]) -> dict[str, float]:
    """Share of texts that hold a word, for the words that are not rare.

    Args:
        word_sets: The words of each text. A word's first text does not count: in a small sample, one text is no sign
            that the word is common.
    """
    counts: dict[str, int] = {}
    num_texts = 0
    for words in word_sets:
        num_texts += 1
        for word in words:
            counts[word] = counts.get(word, 0) + 1
    shares = {word: (count - 1) / num_texts for word, count in counts.items()}
    return {
        word: round(share, 4)
        for word, share in sorted(shares.items())
        if share >= RARE_SHARE and counts[word] >= MIN_COMMON_TEXTS
    }
