"""What a needle names, and what a question names instead: only knowledge of the world joins the two."""

import random
import re
from dataclasses import dataclass
from itertools import pairwise

from app.text.sentences import sentence_borders

NAMES = (
    "Yuki", "Stuart", "Katie", "Veronica", "Gary", "Megan", "Calvin", "Mandy", "Diana", "Caleb", "Priya", "Tomas",
    "Leila", "Oscar", "Noor", "Felix", "Ingrid", "Rafael", "Amina", "Boris",
)  # fmt: skip
LANDMARKS = {
    "the Eiffel Tower": ("Paris", "France"),
    "the Colosseum": ("Rome", "Italy"),
    "the Brandenburg Gate": ("Berlin", "Germany"),
    "the Sagrada Familia": ("Barcelona", "Spain"),
    "the Little Mermaid statue": ("Copenhagen", "Denmark"),
    "Red Square": ("Moscow", "Russia"),
    "the Forbidden City": ("Beijing", "China"),
    "the Burj Khalifa": ("Dubai", "the United Arab Emirates"),
    "the Hagia Sophia": ("Istanbul", "Turkey"),
    "the Acropolis": ("Athens", "Greece"),
    "the Christ the Redeemer statue": ("Rio de Janeiro", "Brazil"),
    "Big Ben": ("London", "England"),
    "the Taj Mahal": ("Agra", "India"),
    "the Senso-ji temple": ("Tokyo", "Japan"),
    "the Atomium": ("Brussels", "Belgium"),
    "the Rijksmuseum": ("Amsterdam", "the Netherlands"),
    "the Belem Tower": ("Lisbon", "Portugal"),
    "Schönbrunn Palace": ("Vienna", "Austria"),
    "the Charles Bridge": ("Prague", "the Czech Republic"),
    "the Petronas Towers": ("Kuala Lumpur", "Malaysia"),
}
"""Landmark → its city and its country, neither of which it names."""
NEEDLES = (
    "Actually, {name} lives next to {landmark}.",
    "{name} has an office whose windows look out on {landmark}.",
    "Every morning {name} walks past {landmark}.",
)


@dataclass(frozen=True, slots=True)
class Association:
    """Sentences of one form, one of which answers the question."""

    question: str
    needle: str
    distractors: list[str]
    answer: str
    """A name."""
    place: str
    """What the question asks for: no needle names it."""


def draw_association(rng: random.Random, kind: str, num_distractors: int) -> Association:
    """A question about the city or the country of a landmark.

    Args:
        rng: Decides all that is drawn.
        kind: `city`, or `country`, which is one step further.
        num_distractors: Sentences of the same form about other people elsewhere.
    """
    landmarks = rng.sample(sorted(LANDMARKS), 1 + num_distractors)
    names = rng.sample(NAMES, 1 + num_distractors)
    form = rng.choice(NEEDLES)
    city, country = LANDMARKS[landmarks[0]]
    place = city if kind == "city" else country
    needle, *distractors = (
        form.format(name=name, landmark=landmark) for name, landmark in zip(names, landmarks, strict=True)
    )
    return Association(f"Which character has been to {place}?", needle, distractors, names[0], place)


def without_names(text: str) -> str:
    """A text without its sentences that name one of the people, landmarks, cities or countries."""
    places = [place for both in LANDMARKS.values() for place in both]
    names = {name.removeprefix("the ") for name in (*NAMES, *LANDMARKS, *places)}
    finds = re.compile("|".join(map(re.escape, sorted(names, key=len, reverse=True))))
    borders = [0, *map(int, sentence_borders(text)), len(text)]
    return "".join(
        text[first:last] for first, last in pairwise(borders) if not finds.search(text[first:last])
    )
