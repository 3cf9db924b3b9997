"""Two-hop chains between invented names, in an original and a rewired variant.

Somebody lives in a town, the town lies in a province: the province of the person stands nowhere by itself. Both
wirings name the same people, towns and provinces just as often, so that nothing but following the chain tells
which province is meant, and the answer to one wiring is a wrong one that stands in the other. The names exist
nowhere else, so that no model can remember them.
"""

import random
from dataclasses import dataclass
from typing import Literal

NUM_CHAINS = 4
"""Side by side: who guesses among the provinces is right once in four times."""
Hop = Literal["lives", "lies"]

_STARTS = (
    "Bra",
    "Del",
    "Fen",
    "Gor",
    "Hal",
    "Jor",
    "Kel",
    "Lom",
    "Mar",
    "Nor",
    "Ost",
    "Pel",
    "Quen",
    "Ros",
    "Tal",
    "Vel",
)
_MIDDLES = ("a", "e", "i", "o", "u", "an", "en", "il", "or", "un")
_PERSON_ENDS = ("bin", "dra", "fa", "lek", "mir", "nis", "ric", "ska", "tan", "vo")
_TOWN_ENDS = ("burg", "dale", "ford", "haven", "mouth", "stead", "ton", "wick")
_PROVINCE_ENDS = ("ania", "esia", "land", "mark", "oria", "shire", "via")


@dataclass(frozen=True, slots=True)
class Chain:
    """One question, the sentences of both wirings, and the answer that each gives."""

    question: str
    statements: list[str]
    """Sentences of the original wiring, in the order of the text."""
    answer: str
    rewired_statements: list[str]
    """Sentences of the rewired variant, in the same places: one hop of each chain leads to another end."""
    rewired_answer: str


def draw_chain(rng: random.Random) -> Chain:
    """A new set of chains, the first of which is asked about."""
    people = _names(rng, _PERSON_ENDS)
    towns = _names(rng, _TOWN_ENDS)
    provinces = _names(rng, _PROVINCE_ENDS)
    rewired_hop: Hop = rng.choice(("lives", "lies"))
    shift = rng.randrange(1, NUM_CHAINS)
    order = list(range(2 * NUM_CHAINS))
    rng.shuffle(order)

    def statements(hop: Hop | None) -> list[str]:
        lives = [towns[(i + shift * (hop == "lives")) % NUM_CHAINS] for i in range(NUM_CHAINS)]
        lies = [provinces[(i + shift * (hop == "lies")) % NUM_CHAINS] for i in range(NUM_CHAINS)]
        sentences = [
            *(f"{person} lives in the town of {town}." for person, town in zip(people, lives, strict=True)),
            *(
                f"The town of {town} lies in the province of {lie}."
                for town, lie in zip(towns, lies, strict=True)
            ),
        ]
        return [sentences[index] for index in order]

    return Chain(
        question=f"In which province does {people[0]} live?",
        statements=statements(None),
        answer=provinces[0],
        rewired_statements=statements(rewired_hop),
        rewired_answer=provinces[shift],
    )


def _names(rng: random.Random, ends: tuple[str, ...]) -> list[str]:
    """Names that differ from their first letters on."""
    starts = rng.sample(_STARTS, NUM_CHAINS)
    return [f"{start}{rng.choice(_MIDDLES)}{rng.choice(ends)}" for start in starts]
