r"""Scores of RULERv2, as NeMo-Skills computes them (its evaluators `ruler2` and `multichoice`).

A text that is to be found scores 1 where the reply holds it, in whatever case; else 1 less the share of its words that
are wrong, if that is more than 0. A choice is the letter in the last \boxed{} of the reply, else behind "The final
answer is", else behind "Answer:". What differs: choices in other scripts (Arabic, Bengali, full-width letters) are not
read, as the questions are English.
"""

import re
from collections.abc import Sequence
from enum import Enum


class Match(Enum):
    """How replies of a task are compared with its answers."""

    ALL = "all"
    """The mean over the answers."""
    LAST_OF_ALL = "2steps"
    """The same for the reply's last paragraph."""
    ANY = "part"
    """The best of the answers. Documents that the reply copies do not count."""
    CHOICE = "multichoice"
    """1 for the right letter."""


TASKS = {
    "mk_niah_basic": Match.ALL,
    "mk_niah_easy": Match.ALL,
    "mk_niah_medium": Match.CHOICE,
    "mk_niah_hard": Match.CHOICE,
    "mv_niah_basic": Match.ALL,
    "mv_niah_easy": Match.ALL,
    "mv_niah_medium": Match.LAST_OF_ALL,
    "mv_niah_hard": Match.ALL,
    "qa_basic": Match.ANY,
    "qa_easy": Match.ANY,
    "qa_medium": Match.ANY,
    "qa_hard": Match.ANY,
}
NUM_CHOICES = 4
_COPIED = re.compile(r"Document \d+:(?:.*\n)+?\n")
_FINAL = re.compile(r"The final answer is (.+)$")
_LETTER = re.compile(r"\b[A-Z]\b(?!.*\b[A-Z]\b)", re.DOTALL)
_ANSWER = re.compile(r"[*_]{0,2}Answer[*_]{0,2}\s*:[\s*_]{0,2}\s*([A-Z])(?![a-zA-Z0-9])", re.IGNORECASE)


def score_reply(task: str, reply: str, answers: Sequence[str]) -> float:
    """Score of a reply in [0, 1].

    Args:
        task: One of `TASKS`.
        reply: What the model said, without thought.
        answers: At least one.
    """
    match = TASKS[task]
    if match is Match.CHOICE:
        return float(chosen_letter(reply) == answers[0])
    if match is Match.ANY:
        reply = _COPIED.sub("", reply)
    elif match is Match.LAST_OF_ALL:
        reply = reply.split("\n\n")[-1]
    found = [_found(reply, answer) for answer in answers]
    return max(found) if match is Match.ANY else sum(found) / len(found)


def chosen_letter(reply: str) -> str | None:
    """The letter that a reply chooses; None: none that could be read."""
    said = (_boxed(reply) or next(reversed(_FINAL.findall(reply)), "")).strip()
    if len(said) == 1:
        return said.upper()
    if letters := _LETTER.findall(said):
        return str(letters[-1])
    called = _ANSWER.findall(reply)
    return called[-1].upper() if called else None


def word_error_rate(reply: str, answer: str) -> float:
    """Words to be changed, added or removed to make a reply the answer, for each word of the answer (Levenshtein)."""
    said, wanted = reply.split(), answer.split()
    if not wanted:
        return float("inf")
    row = list(range(len(wanted) + 1))
    for number, word in enumerate(said, 1):
        before, row[0] = row[0], number
        for place, other in enumerate(wanted, 1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (word != other))
    return row[-1] / len(wanted)


def _found(reply: str, answer: str) -> float:
    reply, answer = reply.lower(), answer.lower()
    return 1.0 if answer in reply else max(0.0, 1 - word_error_rate(reply, answer))


def _boxed(reply: str) -> str | None:
    r"""What stands in the last \boxed{}, with the braces that it holds itself."""
    start = reply.rfind("\\boxed{")
    if start < 0 or start != reply.rfind("\\boxed"):
        return None
    depth = 0
    first = start + len("\\boxed")
    for place in range(first, len(reply)):
        depth += {"{": 1, "}": -1}.get(reply[place], 0)
        if not depth:
            return reply[first + 1 : place]
    return None
