"""Facts that most models know, and plausible answers to replace them."""

import json
import random
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from app.text.words import split_words

CONTRADICTION_CHARS = 200
"""A text that names entity and answer no further apart than this may state the fact by itself."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact: what it is asked with, said with, and answered with."""

    kind: str
    entity: str
    answer: str
    question: str
    statement: str
    """With {answer} where the answer stands."""

    @property
    def item(self) -> str:
        """Its name in records."""
        return f"{self.kind}: {self.entity}"

    def state(self, answer: str) -> str:
        """The sentence that gives this answer, right or wrong."""
        return self.statement.replace("{answer}", answer)


@cache
def load_facts() -> list[Fact]:
    """All facts of the bundled table, in its order."""
    facts = []
    for kind, entry in _table().items():
        for entity, answer in entry["facts"].items():
            statement = entry["statement"].replace("{entity}", entity)
            facts.append(
                Fact(
                    kind,
                    entity,
                    answer,
                    question=entry["question"].replace("{entity}", entity),
                    statement=statement[0].upper() + statement[1:],
                )
            )
    return facts


def accepted(kind: str, answer: str) -> list[str]:
    """An answer and its other names."""
    return [answer, *_table()[kind]["aliases"].get(answer, [])]


def draw_other_answer(fact: Fact, rng: random.Random) -> str:
    """An answer of the same kind that shares no word with the right one, nor stands in the question."""
    right = _words(accepted(fact.kind, fact.answer))
    others = sorted(
        answer
        for answer in set(_table()[fact.kind]["facts"].values())
        if not _words(accepted(fact.kind, answer)) & (right | _words([fact.question]))
    )
    return rng.choice(others)


def facts_not_in(text: str) -> list[Fact]:
    """The facts that a text does not itself state, so far as entity and answer side by side can tell."""
    words = normalize(text)
    return [fact for fact in load_facts() if not _states(words, fact)]


def normalize(text: str) -> str:
    """Words in small letters without accents, with one blank before, between and after them.

    So are the characters of scripts without spaces: a name in Latin letters may stand between them.
    """
    plain = unicodedata.normalize("NFKD", text).casefold()
    without_accents = "".join(char for char in plain if not unicodedata.combining(char))
    return f" {' '.join(split_words(without_accents))} "


def first_mention(text: str, names: list[str]) -> int | None:
    """Where a text, normalized, first has one of these names as whole words; None: nowhere."""
    places = [place for name in names if (place := text.find(normalize(name))) >= 0]
    return min(places, default=None)


def _states(words: str, fact: Fact) -> bool:
    entity = normalize(fact.entity)
    names = accepted(fact.kind, fact.answer)
    place = words.find(entity)
    while place >= 0:
        near = words[max(place - CONTRADICTION_CHARS, 0) : place + len(entity) + CONTRADICTION_CHARS]
        if first_mention(near, names) is not None:
            return True
        place = words.find(entity, place + 1)
    return False


def _words(names: list[str]) -> set[str]:
    return {word for name in names for word in normalize(name).split()}


@cache
def _table() -> dict[str, Any]:
    source = resources.files("eval.recall").joinpath("facts.json")
    table: dict[str, Any] = json.loads(source.read_text("utf-8"))
    return table
