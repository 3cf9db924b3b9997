"""Scores of BABILong (booydar/babilong, babilong/metrics.py)."""

from eval.babilong.stories import PLACES


def names_the_place(reply: str, answer: str, question: str) -> float:
    """1 if the first sentence of a reply names the right place and no other, else 0.

    Places that the question names do not count, in whatever case; places are found within words, too, as published.
    """
    said = reply.lower().split(".")[0].split("<context>")[0].split("<example>")[0]
    found = {place for place in PLACES if place in said and place not in question.lower()}
    return float(found == {answer})
