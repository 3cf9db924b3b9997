"""Scores of MRCR, as its data card publishes them."""

from difflib import SequenceMatcher


def match_ratio(reply: str, answer: str, prefix: str) -> float:
    """How much of the answer a reply repeats, in [0, 1].

    Python's `SequenceMatcher` ratio of both texts without the prefix; 0 where the reply does not begin with it
    (openai/mrcr). White space around the reply is left out before.

    Args:
        reply: What the model said.
        answer: The right turn, with the prefix in front.
        prefix: The letters and digits that the question asks for.
    """
    reply = reply.strip()
    if not reply.startswith(prefix):
        return 0.0
    return SequenceMatcher(None, reply.removeprefix(prefix), answer.removeprefix(prefix)).ratio()
