"""Where a text may be cut: after paragraphs and sentences or, failing those, after lines, clauses and words.

Every border comes after the white space that follows its unit, so that a stretch begins with something to
read. All patterns take time linear in the text.
"""

import re

import numpy as np
import numpy.typing as npt

Borders = npt.NDArray[np.int64]

_SPACED_TERMINATORS = ".!?…‼⁇⁈⁉؟۔।॥։።፧፨။៕᙮᠃᠉"
_CJK_TERMINATORS = "。！？｡"
_CLOSERS = "\"'”’»›)]}」』）】》〉"
_OPENERS = "\"'“‘«‹([{「『（【《〈*_"

_LINE_END = r"(?:\n|\r(?!\n))"
_PARAGRAPH = re.compile(rf"(?:{_LINE_END}\s*{_LINE_END}|[\u2029\f])\s*")
_SPACE_BEHIND_SENTENCE = re.compile(rf"(?<=[{re.escape(_SPACED_TERMINATORS + _CLOSERS)}])\s+")
_CJK_SENTENCE = re.compile(rf"(?<![{_CJK_TERMINATORS}])[{_CJK_TERMINATORS}]++[{re.escape(_CLOSERS)}]*+\s*+")
_WEAKER = (
    re.compile(rf"{_LINE_END}\s*"),
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

    Abbreviations, initials, decimals and list numbers end no sentence, nor does a mark before a small letter.
    """
    spaced = [
        match.end()
        for match in _SPACE_BEHIND_SENTENCE.finditer(text)
        if _ends_sentence(text, match.start(), match.end())
    ]
    cjk = [match.end() for match in _CJK_SENTENCE.finditer(text)]
    return np.union1d(paragraph_borders(text), np.array(spaced + cjk, dtype=np.int64))


def weaker_border(text: str, start: int, end: int) -> int | None:
    """The last end of a line, else of a clause, else of a word, in the second half of `text[start:end]`."""
    stretch = text[start:end]
    for pattern in _WEAKER:
        borders = [match.end() for match in pattern.finditer(stretch, len(stretch) // 2)]
        if borders:
            return start + borders[-1]
    return None


def _ends_sentence(text: str, space_start: int, space_end: int) -> bool:
    """Whether the white space `text[space_start:space_end]` stands between two sentences."""
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
