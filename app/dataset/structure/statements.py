"""Invented statements to be strewn into documents, and the question that asks for each.

Names are put together from syllables, so that no document and no model knows them. Neither the sentences nor the
names and values have the form of an evaluation's needles: training on them is not training on a benchmark.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

# fmt: off
_STARTS = (
    "Bel", "Cor", "Dav", "Eld", "Fen", "Gar", "Hol", "Ist", "Jor", "Kel", "Lam", "Mor", "Nev", "Osk", "Pel", "Quen",
    "Ras", "Sil", "Tar", "Ulm", "Vel", "Wen", "Yar", "Zor",
)
_MIDDLES = ("a", "an", "ar", "e", "el", "en", "i", "in", "o", "or", "u", "un")
_ENDS = (
    "bost", "cant", "dral", "fex", "gond", "holt", "kov", "lith", "mund", "nax", "phor", "quist", "rast", "sund",
    "thex", "vack", "wick", "zent",
)
_FIRST_NAMES = (
    "Adela", "Bram", "Cosima", "Dorian", "Elske", "Florin", "Greta", "Hanno", "Ilse", "Jarek", "Katya", "Leopold",
    "Mirela", "Nestor", "Odile", "Piers", "Quirin", "Rosalind", "Stellan", "Tamsin", "Ulrika", "Viggo", "Wanda",
    "Xaver", "Ysolde", "Zeno",
)
_COLOURS = (
    "amber", "beige", "crimson", "emerald", "indigo", "ivory", "lavender", "maroon", "ochre", "olive", "scarlet",
    "teal", "turquoise", "umber", "violet",
)
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)
# fmt: on
_LETTERS = "BCDFGHJKLMNPQRTVWXZ"
MAX_NAME_TRIES, MAX_VALUE_TRIES = 10_000, 100


@dataclass(frozen=True, slots=True)
class Form:
    """One form of statement: `{name}` is whom it is about, `{value}` what is asked for."""

    value: str
    """A kind of value, a key of `_VALUES`."""
    statement: str
    question: str
    reply: str


@dataclass(frozen=True, slots=True)
class Statement:
    """One invented statement."""

    name: str
    value: str
    text: str
    question: str
    reply: str


FORMS = (
    Form("code", "Visitors to the {name} depot open its side gate with the code {value}.",
         "With which code does one open the side gate of the {name} depot?", "With {value}."),
    Form("code", "The freight car {value} was the last one to leave the yards of {name}.",
         "Which code does the last freight car to leave the yards of {name} bear?", "{value}"),
    Form("code", "In the ledgers of the firm {name} & Sons this contract is filed under {value}.",
         "Under which code do the ledgers of the firm {name} & Sons file the contract?", "Under {value}."),
    Form("code", "A brass plate with the engraving {value} marks the well in the {name} courtyard.",
         "Which code does the brass plate at the well in the {name} courtyard bear?", "{value}"),
    Form("number", "When the {name} orchard was counted, {value} trees were standing in it.",
         "How many trees were standing in the {name} orchard when it was counted?", "{value} trees."),
    Form("number", "The library of {name} Abbey lost {value} volumes to the damp.",
         "How many volumes did the library of {name} Abbey lose to the damp?", "{value} volumes."),
    Form("number", "It took {value} bricks to build the chimney of the {name} mill.",
         "How many bricks did it take to build the chimney of the {name} mill?", "{value} bricks."),
    Form("number", "Each spring the {name} ferry carries {value} passengers across the bay.",
         "How many passengers does the {name} ferry carry across the bay each spring?", "{value} passengers."),
    Form("number", "The climb to the {name} observatory has {value} steps, as its keeper likes to say.",
         "How many steps does the climb to the {name} observatory have?", "{value} steps."),
    Form("date", "The {name} bridge was opened to carts on {value}.",
         "On which day was the {name} bridge opened to carts?", "On {value}."),
    Form("date", "Nobody in {name} forgot the hailstorm of {value}.",
         "On which day did the hailstorm strike that nobody in {name} forgot?", "On {value}."),
    Form("date", "The guild of {name} weavers held its final meeting on {value}.",
         "On which day did the guild of {name} weavers hold its final meeting?", "On {value}."),
    Form("person", "The organ of the {name} chapel was tuned by {value}, who asked for no pay.",
         "Who tuned the organ of the {name} chapel?", "{value}."),
    Form("person", "It was {value} who drew the first map of the {name} caves.",
         "Who drew the first map of the {name} caves?", "{value}."),
    Form("person", "After the fire, {value} took over the {name} bakery.",
         "Who took over the {name} bakery after the fire?", "{value}."),
    Form("person", "The prize of the {name} regatta went to {value} that year.",
         "To whom did the prize of the {name} regatta go?", "To {value}."),
    Form("place", "The archive of the {name} family is kept in the village of {value}.",
         "In which village is the archive of the {name} family kept?", "In {value}."),
    Form("place", "The {name} express makes its only stop in the town of {value}.",
         "In which town does the {name} express make its only stop?", "In {value}."),
    Form("place", "Granite for the {name} harbour came from quarries near the hamlet of {value}.",
         "From near which hamlet did the granite for the {name} harbour come?", "From near {value}."),
    Form("colour", "The doors of the {name} granary are painted {value} on both sides.",
         "In which colour are the doors of the {name} granary painted?", "{value}"),
    Form("colour", "Riders of the {name} stables wear {value} sashes.",
         "Which colour do the sashes of the riders of the {name} stables have?", "{value}"),
    Form("time", "The night train from {name} pulls in at {value} sharp.",
         "At what time does the night train from {name} pull in?", "At {value}."),
    Form("time", "In winter the {name} lighthouse is lit at {value}.",
         "At what time is the {name} lighthouse lit in winter?", "At {value}."),
)  # fmt: skip
"""All forms."""


def draw_statements(rng: Random, count: int, text: str) -> list[Statement]:
    """Statements with distinct names, none of which stands in a text; nor does a value, where there are enough.

    Args:
        rng: Source of randomness.
        count: How many; forms repeat only when all have been used.
        text: The documents.
    """
    forms: list[Form] = []
    while len(forms) < count:
        forms += rng.sample(FORMS, len(FORMS))
    taken: list[str] = []
    lowered = text.lower()

    def fresh(draw: Callable[[Random], str], max_tries: int) -> str:
        word = draw(rng)
        for _ in range(max_tries):
            small = word.lower()
            if small not in lowered and not any(small in other or other in small for other in taken):
                break
            word = draw(rng)
        taken.append(word.lower())
        return word

    statements = []
    for form in forms[:count]:
        name = fresh(_name, MAX_NAME_TRIES)
        # There are few colours and times: documents may well have them all. The name alone must be unheard of.
        value = fresh(_VALUES[form.value], MAX_VALUE_TRIES)
        words = {"name": name, "value": value}
        reply = form.reply.format(**words)
        statements.append(
            Statement(name, value, form.statement.format(**words), form.question.format(**words), reply)
        )
    return statements


def _name(rng: Random) -> str:
    return rng.choice(_STARTS) + rng.choice(_MIDDLES) + rng.choice(_ENDS)


def _code(rng: Random) -> str:
    letters = rng.choice(_LETTERS) + rng.choice(_LETTERS)
    return f"{letters}-{rng.randrange(100, 10_000)}"


def _number(rng: Random) -> str:
    # Of every length but a needle's seven digits: a model that has learned short numbers alone cuts long ones.
    num_digits = rng.choice((3, 4, 5, 6, 8, 9))
    return str(rng.randrange(113 * 10 ** (num_digits - 3), 10**num_digits))


def _date(rng: Random) -> str:
    return f"{rng.randrange(1, 29)} {rng.choice(_MONTHS)} {rng.randrange(1580, 1990)}"


def _person(rng: Random) -> str:
    return f"{rng.choice(_FIRST_NAMES)} {_name(rng)}"


def _place(rng: Random) -> str:
    return f"{_name(rng)} {rng.choice(('Cross', 'Green', 'Heath', 'Mills', 'Moor', 'Weir'))}"


def _colour(rng: Random) -> str:
    return rng.choice(_COLOURS)


def _time(rng: Random) -> str:
    return f"{rng.randrange(24):02d}:{rng.randrange(60):02d}"


_VALUES: dict[str, Callable[[Random], str]] = {
    "code": _code,
    "number": _number,
    "date": _date,
    "person": _person,
    "place": _place,
    "colour": _colour,
    "time": _time,
}
