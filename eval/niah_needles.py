"""The needles of one trial, and what the question asks for."""

import random
from dataclasses import dataclass

from app.config import NiahConfig, placeholders

LEAST_VALUE, MOST_VALUE = 1_000_000, 9_999_999
"""Values have seven digits, as RULER's: long enough not to be guessed or met elsewhere."""

# fmt: off
KEYS = (
    "Accra", "Adelaide", "Amsterdam", "Ankara", "Athens", "Auckland", "Baghdad", "Baku", "Bangkok", "Barcelona",
    "Beirut", "Belgrade", "Bergen", "Bogota", "Bordeaux", "Bratislava", "Brisbane", "Brussels", "Bucharest",
    "Budapest", "Cairo", "Calgary", "Caracas", "Casablanca", "Copenhagen", "Dakar", "Damascus", "Delhi", "Dresden",
    "Dubai", "Dublin", "Edinburgh", "Florence", "Geneva", "Glasgow", "Hamburg", "Hanoi", "Havana", "Helsinki",
    "Istanbul", "Jakarta", "Karachi", "Kathmandu", "Kigali", "Krakow", "Kyoto", "Lagos", "Lahore", "Lima", "Lisbon",
    "Ljubljana", "Lyon", "Madrid", "Manila", "Marseille", "Melbourne", "Milan", "Montreal", "Mumbai", "Munich",
    "Nairobi", "Naples", "Oslo", "Ottawa", "Palermo", "Perth", "Porto", "Prague", "Quito", "Reykjavik", "Riga",
    "Rotterdam", "Santiago", "Sarajevo", "Seoul", "Seville", "Shanghai", "Singapore", "Sofia", "Stockholm", "Sydney",
    "Taipei", "Tallinn", "Tbilisi", "Tokyo", "Toronto", "Tunis", "Turin", "Utrecht", "Valencia", "Vancouver",
    "Venice", "Vienna", "Vilnius", "Warsaw", "Wellington", "Winnipeg", "Yerevan", "Zagreb", "Zurich",
)
# fmt: on


@dataclass(frozen=True, slots=True)
class Needles:
    """One trial's, the same at all lengths and depths."""

    sentences: list[str]
    """In the order in which they stand in the text."""
    keys: list[str]
    values: list[str]
    question: str
    answer_prefix: str
    references: list[str]


def draw_needles(config: NiahConfig, seed: int, trial: int) -> Needles:
    """Draw keys and values, and put them into the sentences."""
    rng = random.Random(f"niah needles {seed} {trial}")
    num_needles = config.num_needles or len(config.needles)
    templates = [config.needles[index % len(config.needles)] for index in range(num_needles)]
    keys = rng.sample(KEYS, num_needles)
    values = [str(value) for value in rng.sample(range(LEAST_VALUE, MOST_VALUE + 1), num_needles)]
    asked = range(1) if config.asks_for_first_alone else range(num_needles)
    return _needles_asked_for(config, templates, keys, values, asked)


def needles_asked_singly(config: NiahConfig, needles: Needles) -> list[Needles]:
    """The same needles once for each of them, with a question for that one alone."""
    templates = [config.needles[index % len(config.needles)] for index in range(len(needles.sentences))]
    return [
        _needles_asked_for(config, templates, needles.keys, needles.values, range(index, index + 1))
        for index in range(len(templates))
    ]


def _needles_asked_for(
    config: NiahConfig, templates: list[str], keys: list[str], values: list[str], asked: range
) -> Needles:
    def filled(text: str, index: int) -> str:
        names = {"key": keys[index], "value": values[index], "keys": _listed([keys[i] for i in asked])}
        for name in placeholders(text):
            text = text.replace(f"{{{name}}}", names[name])
        return text

    references = [
        filled(reference, index)
        for index in asked
        for reference in config.references
        if placeholders(reference) <= placeholders(templates[index])
    ]
    return Needles(
        sentences=[filled(template, index) for index, template in enumerate(templates)],
        keys=keys,
        values=values,
        question=filled(config.question, asked[0]),
        answer_prefix=filled(config.answer_prefix, asked[0]),
        references=list(dict.fromkeys(references)),
    )


def _listed(words: list[str]) -> str:
    """`A`, `A and B`, `A, B, and C`."""
    if len(words) < 3:
        return " and ".join(words)
    return f"{', '.join(words[:-1])}, and {words[-1]}"
