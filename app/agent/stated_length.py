"""The length of a document in the instruction that asks for it: stated, and true."""

import re

from app.agent.parsing import MalformedReplyError

TOLERANCE = 0.25
"""A stated length may be so far from the true one, as a share of it."""
_NUMBER = r"(\d{1,3}(?:[,.]\d{3})+|\d+)"
_UNIT = r"[\s-]*(k|thousand)?[\s-]*words?\b"
_STATED = re.compile(rf"(?:{_NUMBER}\s*(?:-|–|to|and)\s*)?{_NUMBER}{_UNIT}", re.IGNORECASE)


def round_words(num_words: int) -> int:
    """A length as people state it: two significant digits."""
    step = 10 ** max(len(str(num_words)) - 2, 0)
    return max(round(num_words / step) * step, 1)


def with_length(instruction: str, num_words: int) -> str:
    """An instruction that states the length of the document that answers it; where it states none, a sentence is added.

    Args:
        instruction: A request to a writer.
        num_words: True length of the document.

    Raises:
        MalformedReplyError: It states another length.
    """
    stated = list(_STATED.finditer(instruction))
    for match in stated:
        low, high, thousands = match.groups()
        factor = 1000 if thousands else 1
        least = _value(low or high) * (factor if _value(low or high) < 1000 else 1)
        most = _value(high) * factor
        if not (1 - TOLERANCE) * least <= num_words <= (1 + TOLERANCE) * most:
            raise MalformedReplyError("instruction states a wrong length")
    if stated:
        return instruction
    return f"{instruction} It should have about {round_words(num_words):,} words."


def _value(number: str) -> int:
    return int(re.sub(r"[,.]", "", number))
