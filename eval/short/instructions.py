"""Instructions that a program can verify, in the manner of IFEval (arXiv 2311.07911)."""

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.text.words import count_words, split_words

Check = dict[str, Any]
"""`kind`, and a `number` and a `text` (0 and empty, where the kind has none)."""

_WORDS = ("always", "early", "found", "light", "little", "people", "quiet", "small", "together", "water")
_ENDINGS = ("That is all.", "Thank you for reading.", "The end.")
_KEYS = ("name,reason", "title,text", "question,answer")


@dataclass(frozen=True)
class CheckKind:
    """One kind of instruction."""

    told: str
    """With {number}, {text} and {first}, {second}: the text's two halves at its comma."""
    holds: Callable[[str, int, str], bool]
    """Reply, stripped, number and text → whether it is followed."""
    numbers: tuple[int, ...] = (0,)
    texts: tuple[str, ...] = ("",)
    goes_with: frozenset[str] = frozenset()
    """Kinds that can be asked for at the same time."""
    name: str = ""

    def draw(self, rng: random.Random) -> Check:
        """One instruction of the kind."""
        return {"kind": self.name, "number": rng.choice(self.numbers), "text": rng.choice(self.texts)}


def holds(check: Check, reply: str) -> bool:
    """Whether a reply follows an instruction; an empty one follows none."""
    text = reply.strip()
    return bool(text) and CHECKS[check["kind"]].holds(text, check["number"], check["text"])


def phrase(check: Check) -> str:
    """How a person says it."""
    first, _, second = check["text"].partition(",")
    return CHECKS[check["kind"]].told.format(
        number=check["number"], text=check["text"], first=first, second=second
    )


def _num_times(text: str, word: str) -> int:
    return split_words(text).count(word.lower())


def _starts_with(text: str, word: str) -> bool:
    return text.lower().startswith(word.lower()) and split_words(text)[0] == word.lower()


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _has_keys(text: str, keys: str) -> bool:
    # Many models fence code; the fence is no part of the answer.
    fenced = re.fullmatch(r"```(?:json)?\s*(.*?)\s*```", text, flags=re.DOTALL)
    try:
        value = json.loads(fenced[1] if fenced else text)
    except ValueError:
        return False
    return isinstance(value, dict) and set(value) == set(keys.split(","))


_COMMAS = frozenset(",，、،")
_LENGTHS = frozenset({"max_words", "min_words"})
_WORDING = frozenset({"contains", "avoids"})
_KINDS = {
    "max_words": CheckKind(
        "Use at most {number} words.",
        lambda text, number, _: count_words(text) <= number,
        numbers=(20, 30, 40),
        goes_with=_WORDING | {"lowercase", "uppercase", "no_commas", "quoted", "starts_with", "ends_with"},
    ),
    "min_words": CheckKind(
        "Use at least {number} words.",
        lambda text, number, _: count_words(text) >= number,
        numbers=(50, 70, 90),
        goes_with=_WORDING | {"lowercase", "uppercase", "no_commas", "starts_with", "ends_with"},
    ),
    "num_lines": CheckKind(
        "Write exactly {number} lines, and leave no line empty.",
        lambda text, number, _: len(text.splitlines()) == len(_lines(text)) == number,
        numbers=(2, 3, 4, 5),
        goes_with=_WORDING | {"lowercase", "uppercase", "no_commas"},
    ),
    "num_bullets": CheckKind(
        'Write a list of exactly {number} points, each on a line that begins with "- ".',
        lambda text, number, _: sum(line.startswith("- ") for line in _lines(text)) == number,
        numbers=(3, 4, 5),
        goes_with=_WORDING | {"lowercase", "no_commas"},
    ),
    "starts_with": CheckKind(
        'Begin with the word "{text}".',
        lambda text, _, word: _starts_with(text, word),
        texts=("Perhaps", "Once", "Yesterday", "Many"),
        goes_with=_LENGTHS | _WORDING | {"no_commas"},
    ),
    "ends_with": CheckKind(
        'End with the exact sentence "{text}" and nothing behind it.',
        lambda text, _, ending: text.endswith(ending),
        texts=_ENDINGS,
        goes_with=_LENGTHS | _WORDING | {"no_commas"},
    ),
    "contains": CheckKind(
        'Use the word "{text}" at least {number} times.',
        lambda text, number, word: _num_times(text, word) >= number,
        numbers=(1, 2, 3),
        texts=_WORDS,
        goes_with=_LENGTHS | {"num_lines", "lowercase", "no_commas"},
    ),
    "avoids": CheckKind(
        'Do not use the word "{text}".',
        lambda text, _, word: _num_times(text, word) == 0,
        texts=("and", "the", "is", "of"),
        goes_with=_LENGTHS | {"num_lines", "lowercase", "no_commas"},
    ),
    "lowercase": CheckKind(
        "Use small letters only, no capital letter at all.",
        lambda text, _number, _text: text == text.lower(),
        goes_with=_LENGTHS | _WORDING | {"num_lines", "num_bullets", "no_commas"},
    ),
    "uppercase": CheckKind(
        "Use capital letters only.",
        lambda text, _number, _text: text == text.upper(),
        goes_with=_LENGTHS | {"num_lines", "no_commas"},
    ),
    "no_commas": CheckKind(
        "Do not use any comma.",
        lambda text, _number, _text: not _COMMAS & set(text),
        goes_with=_LENGTHS | _WORDING | {"num_lines", "num_bullets", "starts_with"},
    ),
    "quoted": CheckKind(
        'Put your whole answer in double quotation marks: ".',
        lambda text, _number, _text: len(text) > 2 and text[0] == text[-1] == '"',
        goes_with=frozenset({"max_words", "no_commas"}),
    ),
    "json_keys": CheckKind(
        'Answer with a JSON object that has exactly the keys "{first}" and "{second}", and nothing else.',
        lambda text, _, keys: _has_keys(text, keys),
        texts=_KEYS,
        goes_with=_WORDING,
    ),
    "title": CheckKind(
        "Put a title in double angle brackets on the first line, like <<title>>.",
        lambda text, _number, _text: re.fullmatch(r"<<[^<>]+>>", _lines(text)[0]) is not None,
        goes_with=_LENGTHS | _WORDING | {"no_commas"},
    ),
}
CHECKS: dict[str, CheckKind] = {
    name: CheckKind(kind.told, kind.holds, kind.numbers, kind.texts, kind.goes_with, name)
    for name, kind in _KINDS.items()
}
"""All kinds by name."""
