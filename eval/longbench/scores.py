"""The score of LongBench v2, as published (arXiv 2412.15204)."""

import re

_ANSWERS = (re.compile(r"The correct answer is \(([A-D])\)"), re.compile(r"The correct answer is ([A-D])"))


def chosen_letter(reply: str) -> str | None:
    """The letter of a reply that says "The correct answer is (B)", asterisks left out; None: it does not."""
    bare = reply.replace("*", "")
    for pattern in _ANSWERS:
        if found := pattern.search(bare):
            return found[1]
    return None
