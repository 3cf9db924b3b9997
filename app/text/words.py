"""Words in all scripts, also in those that are written without spaces.

Everything that counts or compares words takes them from here: lengths, repetition, overlap, near-duplicates, benchmark
text, what an instruction names, where evidence stands. Of Chinese and Japanese each character counts as a word, as no
dictionary is at hand. Thai, Lao, Burmese and Khmer have character clusters: a letter with its vowel signs and tone
marks, which can't stand apart.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

_HAN_AND_KANA = (
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
    "\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
_CLUSTERED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f"  # Burmese
    "\u1780-\u17ff"  # Khmer
)
_UNSPACED = f"{_HAN_AND_KANA}{_CLUSTERED}"
_VOWELS_BEFORE = "\u0e40-\u0e44\u0ec0-\u0ec4"
_SIGNS_BEHIND = (
    "\u0e30-\u0e3a\u0e45\u0e47-\u0e4e\u0eb0-\u0ebd\u0ec8-\u0ece"
    "\u102b-\u103e\u1056-\u1059\u105e-\u1060\u1062-\u1064\u1067-\u106d\u1071-\u1074\u1082-\u108d\u108f\u109a-\u109d"
    "\ua9e5\uaa7b-\uaa7d\u17b4-\u17d3\u17dd"
)
_STACKERS = "\u1039\u17d2"
"""Signs that put the next letter below the one before."""
_CLUSTER = (
    rf"[{_VOWELS_BEFORE}]?(?=\w)[{_CLUSTERED}][{_SIGNS_BEHIND}]*"
    rf"(?:(?<=[{_STACKERS}])(?=\w)[{_CLUSTERED}][{_SIGNS_BEHIND}]*)*"
)
# `\w` does not know vowel signs, accents and the voicing marks of kana.
_MARKS = (
    "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0900-\u0963\u0966-\u0dff\u0f71-\u0f84\u0f8d-\u0fbc"
)
_SPACED_LETTERS = rf"[^\W_{_UNSPACED}]+"
_SPACED_WORD = rf"{_SPACED_LETTERS}(?:[{_MARKS}]+(?:{_SPACED_LETTERS})?)*"
# The guard fails at once where another script stands, or English texts would take longer.
_UNSPACED_WORD = rf"(?=[{_UNSPACED}])(?:(?=\w)[{_HAN_AND_KANA}][\u3099\u309a]*|{_CLUSTER})"
_WORD = re.compile(rf"{_SPACED_WORD}|{_UNSPACED_WORD}")
_ONLY_UNSPACED = re.compile(_UNSPACED_WORD)
_HIRAGANA = re.compile(r"[\u3041-\u309f]+")
_HANGUL = re.compile(r"[\uac00-\ud7a3]+")
MIN_CONTENT_CHARS = 4
CHARACTERS_PER_WORD = 2
"""Of scripts without spaces, as a rule of thumb: most words of Chinese have one or two, of Thai two or three."""


def split_words(text: str) -> list[str]:
    """Words in small letters, without punctuation; of a script without spaces, its characters or clusters."""
    return _WORD.findall(text.lower())


def count_words(text: str) -> int:
    """Number of words as a person counts them: `don't` is one, and so is each character of Chinese."""
    parts = _ONLY_UNSPACED.sub(" x ", text).split()
    return sum(any(map(str.isalnum, part)) for part in parts)


def word_ngrams(text: str, num_words: int) -> list[str]:
    """All runs of `num_words` words, in order; of a shorter text, the one that it is.

    Two characters of a script without spaces take the place of a word: runs of as many characters would be so short
    that names alone make two texts alike.
    """
    words = split_words(text)
    sizes = [1 if _ONLY_UNSPACED.match(word) else CHARACTERS_PER_WORD for word in words]
    ngrams: list[str] = []
    end, size = 0, 0
    for start, first_size in enumerate(sizes):
        while size < CHARACTERS_PER_WORD * num_words and end < len(words):
            size += sizes[end]
            end += 1
        if size < CHARACTERS_PER_WORD * num_words:
            break
        ngrams.append(" ".join(words[start:end]))
        size -= first_size
    return ngrams or [" ".join(words)]


def content_words(text: str) -> set[str]:
    """Words that are likely to carry meaning, in small letters: what two texts on one subject have in common.

    Such words have four letters at least. Of scripts without spaces and of Korean, whose words end in particles, pairs
    of neighbouring characters take their place, as in the indexes of search engines. Pairs in hiragana are left out:
    endings and particles are written in it.
    """
    return set(_content_words(text.lower()))


def _content_words(text: str) -> Iterator[str]:
    before, end_before = "", -1
    for match in _WORD.finditer(text):
        word = match.group()
        if not _ONLY_UNSPACED.match(word):
            if _HANGUL.fullmatch(word):
                yield from map("".join, pairwise(word))
            elif len(word) >= MIN_CONTENT_CHARS:
                yield word
            continue
        if match.start() == end_before and not _HIRAGANA.fullmatch(pair := before + word):
            yield pair
        before, end_before = word, match.end()
