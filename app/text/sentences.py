"""Where sentences end, and where a text may be cut: after paragraphs and sentences or, failing those, after lines,
clauses and words.

Every border comes after the white space that follows its unit, so that a stretch begins with something to
read. Chinese, Japanese, Burmese and Khmer put no space after a sentence; Thai and Lao put one and no mark. All patterns
take time linear in the text.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Borders = npt.NDArray[np.int64]

_SPACED_TERMINATORS = ".!?…‼⁇⁈⁉؟۔।॥։።፧፨။៕᙮᠃᠉"
_UNSPACED_TERMINATORS = "。！？｡។៕။"
_FULLWIDTH_STOP = r"．(?!\d)"
_HAN_OR_KANA = "\u3005\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_THAI_OR_LAO_END = "\u0e01-\u0e2e\u0e30-\u0e3a\u0e45\u0e47-\u0e4e\u0e81-\u0eae\u0eb0-\u0ebd\u0ec8-\u0ece"
_THAI_OR_LAO_START = "\u0e01-\u0e2e\u0e40-\u0e44\u0e81-\u0eae\u0ec0-\u0ec4"
_CLOSERS = "\"'”’»›)]}」』）】》〉"
_OPENERS = "\"'“‘«‹([{「『（【《〈*_"

_LINE_END = r"(?:\n|\r(?!\n))"
_LINE_BREAK = re.compile(rf"{_LINE_END}\s*")
_PARAGRAPH = re.compile(rf"(?:{_LINE_END}\s*{_LINE_END}|[\u2029\f])\s*")
_BEHIND_SENTENCE = re.compile(rf"(?<=[{re.escape(_SPACED_TERMINATORS + _CLOSERS)}])(?:\s+|\Z)")
_UNSPACED_SENTENCE = re.compile(
    rf"(?:(?<![{_UNSPACED_TERMINATORS}])[{_UNSPACED_TERMINATORS}]++|{_FULLWIDTH_STOP}"
    rf"|(?<=[{_HAN_OR_KANA}])[.!?]++(?=[{re.escape(_CLOSERS)}]*+[{_HAN_OR_KANA}]))"
    rf"[{re.escape(_CLOSERS)}]*+"
)
# The mark of repetition has spaces on both sides, and an abbreviation may follow one.
_THAI_OR_LAO_SPACE = re.compile(
    rf"(?<=[{_THAI_OR_LAO_END}])\s++(?=[{_THAI_OR_LAO_START}])(?![{_THAI_OR_LAO_START}]{{1,3}}\.)"
)
_SPACE = re.compile(r"\s*")
_WEAKER = (
    _LINE_BREAK,
    re.compile(r"(?<=[,;:)—–])\s+|[，、；：]\s*|—+\s*"),
    re.compile(r"\s+"),
)

_ABBREVIATIONS = re.compile(
    r"(?:mr|mrs|ms|dr|prof|sr|jr|st|vs|cf|al|viz|approx|dept|est|capt|lt|col|gen|sgt|rev|hon|gov|sen|rep|pres|mt|ft"
    r"|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|inc|ltd|corp|bros|bzw|vgl|nr|mme|mlle)",
    flags=re.IGNORECASE,
)
_ABBREVIATIONS_BEFORE_NUMBERS = re.compile(r"(?:nos?|figs?|pp?|vol|ch|sec|art|eq|op)", flags=re.IGNORECASE)
_INITIALS = re.compile(r"(?:\w\.)*\w")
_MAX_ABBREVIATION_CHARS = 12


def paragraph_borders(text: str) -> Borders:
    """Ends of the paragraphs, ascending: positions after blank lines."""
    return np.fromiter((match.end() for match in _PARAGRAPH.finditer(text)), dtype=np.int64)


def sentence_borders(text: str) -> Borders:
    """Ends of the sentences, ascending; a paragraph's end is one too.

    Abbreviations, initials, decimals and list numbers end no sentence, nor does a mark before a small letter. A stop at
    the text's very end is no border: what follows is not known.
    """
    ends = (_SPACE.match(text, end) for end in _sentence_ends(text) if end < len(text))
    borders = np.fromiter((match.end() for match in ends if match), dtype=np.int64)
    return np.union1d(paragraph_borders(text), borders)


def split_sentences(text: str) -> list[str]:
    """Sentences and lines, whatever ends first, with the white space behind them; joined, they are the text."""
    lines = [match.end() for match in _LINE_BREAK.finditer(text)]
    borders = sorted({*sentence_borders(text).tolist(), *lines, len(text)})
    return [text[start:end] for start, end in pairwise([0, *borders]) if start < end]


def whole_sentences(text: str) -> str:
    """A text up to the end of its last complete sentence; empty where none ends."""
    return text[: max(_sentence_ends(text), default=0)]


def _sentence_ends(text: str) -> Iterator[int]:
    """Positions behind the marks and quotes that end sentences, in no order."""
    for match in _BEHIND_SENTENCE.finditer(text):
        if _ends_sentence(text, match.start(), match.end()):
            yield match.start()
    for match in _UNSPACED_SENTENCE.finditer(text):
        yield match.end()
    for match in _THAI_OR_LAO_SPACE.finditer(text):
        yield match.start()


def weaker_border(text: str, start: int, end: int) -> int | None:
    """The last end of a line, else of a clause, else of a word, in the second half of `text[start:end]`."""
    stretch = text[start:end]
    for pattern in _WEAKER:
        borders = [match.end() for match in pattern.finditer(stretch, len(stretch) // 2)]
        if borders:
            return start + borders[-1]
    return None


def _ends_sentence(text: str, space_start: int, space_end: int) -> bool:
    """Whether the white space `text[space_start:space_end]` stands behind a sentence."""
    following = text[space_end : space_end + 1]
    if following.islower():
        return False
    head = text[max(0, space_start - 8) : space_start].rstrip(_CLOSERS)
    if not head or head[-1] not in _SPACED_TERMINATORS:
        return False
    if head[-1] != ".":
        return True
    stop = space_start - min(8, space_start) + len(head) - 1
    before = text[max(0, stop - _MAX_ABBREVIATION_CHARS) : stop]
    word = (before.split() or [""])[-1].lstrip(_OPENERS) if before and not before[-1].isspace() else ""
    if word.isdigit():
        # "1." opens a list item where it opens a line; elsewhere "… in 1826. The" ends a sentence.
        line_start = text[max(0, stop - len(word) - 1) : stop - len(word)]
        return line_start not in ("", "\n", "\r")
    if _ABBREVIATIONS_BEFORE_NUMBERS.fullmatch(word):
        return not following.isdigit()
    is_initials = _INITIALS.fullmatch(word) is not None and (len(word) > 1 or word.isupper())
    return not is_initials and not _ABBREVIATIONS.fullmatch(word)
