"""Scores of a reply against an answer key, by plain rules on text: for filters, rewards and evaluation alike.

A score lies between 0.0 and 1.0. It is 1.0 only if nothing is missing and nothing is too much. Replies may be worded as
people word them: "3, 1, 2", "The order is 3 → 1 → 2." and "[3, 1, 2]" are the same answer.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from itertools import combinations

from app.schema import AnswerKey, CheckerName, TaskData

_NUMBER = r"[-−]?\d+(?:,\d{3})*(?:\.\d+)?"
_FINDS_NUMBER = re.compile(rf"(?<![\w.,-])(?:{_NUMBER})(?![\w%]|\.\d)")
_NOUN = r"(?:documents?|docs?\.?|passages?|paragraphs?|numbers?|nos?\.?)"
_BETWEEN = re.compile(rf"(?:\s|[,;>→⇒&()\[\]#*–-]|\b(?:and|then|und|{_NOUN})\b)*", re.IGNORECASE)
_LIST_NUMBER = re.compile(r"^\s*\d+[.):]\s+(?=\D*\d)", re.MULTILINE)
_MARKED = re.compile(r"(?:answer|result|total)\b[^\d\n]{0,20}?(?:is|are|:|=)\s*\W*", re.IGNORECASE)
_ASIDE = re.compile(r"\([^()]*\)|\[[^\[\]]*,[^\[\]]*\]")
# fmt: off
_WORDS = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
]
# fmt: on
_FINDS_WORD = re.compile(rf"\b(?:{'|'.join(_WORDS)})\b", re.IGNORECASE)


def score_reply(reply: str, key: AnswerKey, checker: CheckerName) -> float:
    """Score of one reply.

    Args:
        reply: What a model said.
        key: The right answer; for `ordered_list` and `set` whole numbers, for `facts` texts.
        checker: How to compare.
    """
    assert checker != "turns", "a reply is one turn"
    return _CHECKERS[checker](reply, key)


def score_turns(replies: Sequence[str], task: TaskData) -> float:
    """Score of a whole chat: the mean over its answers if its checker is `turns`, else that of its only one.

    Args:
        replies: The assistant's turns; those that are missing count as wrong.
        task: Keys and checker.
    """
    if task.checker != "turns":
        return score_reply(replies[0], task.answer_key, task.checker) if replies else 0.0
    assert isinstance(task.answer_key, list), "each turn has a key"
    scores = [check_exact(reply, str(key)) for reply, key in zip(replies, task.answer_key, strict=False)]
    return sum(scores) / len(task.answer_key)


def check_exact(reply: str, key: AnswerKey) -> float:
    """Whether a reply says the key, word for word but for case, quotation marks and spaces around it."""
    words = _normalized(str(key))
    return float(re.search(rf"(?<![\w-]){re.escape(words)}(?![\w-])", _normalized(reply)) is not None)


def check_number(reply: str, key: AnswerKey) -> float:
    """Whether a reply's number is the key: its only one, else the one called the answer, else the first or the last.

    The first is taken of a reply that begins with it, the last of one that counts its way there. What stands in
    brackets is an aside.
    """
    assert isinstance(key, int), key
    bare = _ASIDE.sub(" ", reply)
    values = numbers_in(bare) or numbers_in(reply)
    if not values:
        return 0.0
    if marked := list(_MARKED.finditer(bare)):
        values = numbers_in(bare[marked[-1].end() :])[:1] or values
    begins = _FINDS_NUMBER.match(bare.lstrip(" *\t\n"))
    return float((values[0] if begins else values[-1]) == key)


def check_ordered_list(reply: str, key: AnswerKey) -> float:
    """Share of the pairs that stand in the right order, if the reply's list holds the key's numbers, each once."""
    wanted = _whole_numbers(key)
    found = list_in(reply)
    if sorted(found) != sorted(wanted):
        return 0.0
    place = {number: index for index, number in enumerate(found)}
    pairs = list(combinations(wanted, 2))
    return sum(place[first] < place[second] for first, second in pairs) / len(pairs) if pairs else 1.0


def check_set(reply: str, key: AnswerKey) -> float:
    """Numbers that the reply and the key share, over those of both."""
    found, wanted = set(list_in(reply)), set(_whole_numbers(key))
    return len(found & wanted) / len(found | wanted) if found | wanted else 1.0


def check_facts(reply: str, key: AnswerKey) -> float:
    """Share of the key's texts that the reply holds, in whatever order."""
    assert isinstance(key, list), key
    return sum(check_exact(reply, str(fact)) for fact in key) / len(key) if key else 1.0


def numbers_in(text: str) -> list[float]:
    """All numbers of a text in its order, those in words up to twenty included."""
    found = [(match.start(), _value(match[0])) for match in _FINDS_NUMBER.finditer(_spaced(text))]
    found += [(match.start(), float(_WORDS.index(match[0].lower()))) for match in _FINDS_WORD.finditer(text)]
    return [value for _, value in sorted(found)]


def list_in(text: str) -> list[int]:
    """The longest run of whole numbers of a text between which nothing but separators stands; the last of several."""
    lines = _LIST_NUMBER.findall(text)
    # "1. 3", "2. 1", "3. 2" is a numbered list of 3, 1, 2.
    text = _spaced(_LIST_NUMBER.sub("", text) if len(lines) > 1 else text)
    best: list[int] = []
    run: list[int] = []
    end = -1
    for match in re.finditer(r"(?<![\w.])\d+(?!\w|\.\d)", text):
        if end < 0 or _BETWEEN.fullmatch(text, end, match.start()) is None:
            run = []
        run.append(int(match[0]))
        end = match.end()
        if len(run) >= len(best):
            best = list(run)
    return best


def _spaced(text: str) -> str:
    """A text with a space after each comma between two numbers that are not thousands: "1,2" holds two."""
    return re.sub(r"(?<=\d),(?!\d{3}(?!\d))(?=\d)", ", ", text)


def _value(number: str) -> float:
    return float(number.replace(",", "").replace("−", "-"))


def _whole_numbers(key: AnswerKey) -> list[int]:
    assert isinstance(key, list), key
    return [int(number) for number in key]


def _normalized(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).replace("’", "'").replace("–", "-").replace("\u2010", "-")
    return " ".join(re.sub(r"[\"“”„«»*_`]", "", text).casefold().split())


_CHECKERS: dict[str, Callable[[str, AnswerKey], float]] = {
    "exact": check_exact,
    "number": check_number,
    "ordered_list": check_ordered_list,
    "set": check_set,
    "facts": check_facts,
}
