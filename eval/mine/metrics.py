"""Scores of replies to a user's own questions, in [0, 1]."""

import re
from collections import Counter
from collections.abc import Callable, Sequence

from app.checkers import score_reply
from app.config import OwnMetric
from app.text.words import split_words
from eval.mine.questions import LETTERS

_ARTICLES = {"a", "an", "the"}
_QUOTES = re.compile(r"[\"“”„«»*_`]")
_LETTER = r"([A-Z](?![\w'’])|[a-z](?=\)))"
_CALLED = re.compile(
    r"(?i:\b(?:answer|choice|option)\b)[^\n]{0,30}?(?:\bis\b|:|\s|\()[^A-Za-z0-9\n]*" + _LETTER
)
_BEGINS = re.compile(r"\W*" + _LETTER)
_ARTICLE = re.compile(r"\W*[AI] [a-z]")
"""A sentence begins, and no choice is named."""


def score_own(metric: OwnMetric, reply: str, answers: Sequence[str], choices: Sequence[str] = ()) -> float:
    """Score of a reply by a metric that needs no judge: the best over the right answers.

    Args:
        metric: `exact`: the reply is the answer, but for case, quotation marks and a full stop. `contains`: it says
            it, as whole words. `number`: its number is the answer's; see `app.checkers`. `f1`: shared words, as of
            SQuAD. `multiple_choice`: the letter or the text that it chooses. `regex`: the pattern is found in it.
        reply: What the model said.
        answers: Right ones; of `regex` patterns.
        choices: Of `multiple_choice`.
    """
    if metric == "multiple_choice":
        chosen = chosen_letter(reply, choices)
        return float(chosen is not None and chosen in {letter_of(each, choices) for each in answers})
    score = _METRICS[metric]
    return max(score(reply, answer) for answer in answers)


def chosen_letter(reply: str, choices: Sequence[str]) -> str | None:
    """The letter that a reply chooses, else that of the only choice whose text it says; None: neither.

    A letter is chosen if the reply calls it the answer, or begins with it; of several that are called so, the last one.
    """
    known = LETTERS[: len(choices)]
    called = [letter.upper() for letter in _CALLED.findall(reply) if letter.upper() in known]
    if called:
        return called[-1]
    begins = _BEGINS.match(reply)
    if begins and begins[1].upper() in known and not _ARTICLE.match(reply):
        return begins[1].upper()
    said = [known[index] for index, text in enumerate(choices) if score_reply(reply, text, "exact")]
    return said[0] if len(said) == 1 else None


def letter_of(answer: str, choices: Sequence[str]) -> str:
    """Letter of a right choice that is given as letter or text."""
    return LETTERS[list(choices).index(answer)] if answer in choices else answer.upper()


def word_f1(reply: str, answer: str) -> float:
    """Harmonic mean of the shares of words that reply and answer have in common, without case and articles (SQuAD)."""
    said, wanted = _words(reply), _words(answer)
    shared = (said & wanted).total()
    if not shared:
        return float(said == wanted)
    precision, recall = shared / said.total(), shared / wanted.total()
    return 2 * precision * recall / (precision + recall)


def _exact(reply: str, answer: str) -> float:
    return float(_bare(reply) == _bare(answer))


def _bare(text: str) -> str:
    return " ".join(_QUOTES.sub("", text).casefold().split()).removesuffix(".").strip()


def _words(text: str) -> Counter[str]:
    return Counter(word for word in split_words(text.casefold()) if word not in _ARTICLES)


def _number(reply: str, answer: str) -> float:
    return score_reply(reply, int(answer.replace("−", "-")), "number")


_METRICS: dict[str, Callable[[str, str], float]] = {
    "exact": _exact,
    "contains": lambda reply, answer: score_reply(reply, answer, "exact"),
    "number": _number,
    "f1": word_f1,
    "regex": lambda reply, answer: float(re.search(answer, reply) is not None),
}
