"""A long context cut to what a person reads: its evidence with some text around, its beginning and its end."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Evidence:
    """Characters of a context that an answer rests on."""

    start_char: int
    end_char: int
    name: str
    """What a person is told of it."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a context, in its order."""

    kind: Literal["plain", "evidence", "folded", "left out"]
    text: str
    """Empty if it is left out."""
    num_chars: int
    name: str = ""
    """Of evidence."""
    num_evidence: int = 0
    """Evidence passages within a part that is left out."""


def cut_context(text: str, evidence: Sequence[Evidence], around_chars: int, max_chars: int) -> list[Part]:
    """The parts of a context, which together are all of it.

    Args:
        text: The context.
        evidence: In any order; what two of them share belongs to the earlier one.
        around_chars: Shown before and after each evidence, at the beginning and at the end.
        max_chars: Of a context of so many characters everything is kept, and what is not shown is folded. Of a longer
            one so many are shown at most, and the rest is left out.
    """
    marks = _clipped(evidence, len(text))
    keeps_all = len(text) <= max_chars
    parts: list[Part] = []
    position, num_left = 0, max_chars
    for start_char, wanted_end_char in _shown(marks, len(text), around_chars):
        if start_char > position:
            gap = text[position:start_char]
            parts.append(Part("folded", gap, len(gap)) if keeps_all else Part("left out", "", len(gap)))
        end_char = min(wanted_end_char, start_char + num_left)
        parts += _marked(text, start_char, end_char, marks)
        num_left -= end_char - start_char
        position = end_char
        if not num_left:
            break
    if position < len(text):
        num_evidence = sum(each.start_char >= position for each in marks)
        parts.append(Part("left out", "", len(text) - position, num_evidence=num_evidence))
    return parts


def _clipped(evidence: Sequence[Evidence], num_chars: int) -> list[Evidence]:
    """By their place, without overlaps, within the text."""
    found: list[Evidence] = []
    end = 0
    for each in sorted(evidence, key=lambda each: (each.start_char, each.end_char)):
        start_char, end_char = max(each.start_char, end), min(each.end_char, num_chars)
        if start_char < end_char:
            found.append(Evidence(start_char, end_char, each.name))
            end = end_char
    return found


def _shown(marks: Sequence[Evidence], num_chars: int, around_chars: int) -> list[tuple[int, int]]:
    """Character ranges to show. What would be left out between two is longer than what stands around evidence."""
    wanted = [(0, around_chars)]
    wanted += [(each.start_char - around_chars, each.end_char + around_chars) for each in marks]
    wanted.append((num_chars - around_chars, num_chars))
    merged: list[tuple[int, int]] = []
    for first, last in wanted:
        start_char, end_char = max(first, 0), min(last, num_chars)
        if merged and start_char <= merged[-1][1] + around_chars:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end_char))
        elif start_char < end_char:
            merged.append((start_char, end_char))
    return merged


def _marked(text: str, start_char: int, end_char: int, marks: Sequence[Evidence]) -> Iterator[Part]:
    """A shown range as plain text and evidence in turn."""
    position = start_char
    for each in marks:
        first, last = max(each.start_char, start_char), min(each.end_char, end_char)
        if first >= last:
            continue
        if first > position:
            yield Part("plain", text[position:first], first - position)
        yield Part("evidence", text[first:last], last - first, each.name)
        position = last
    if position < end_char:
        yield Part("plain", text[position:end_char], end_char - position)
