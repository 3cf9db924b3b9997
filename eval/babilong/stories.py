"""Stories about people who walk about and carry things, in the form of bAbI's first three tasks."""

import random
from dataclasses import dataclass, field

PEOPLE = ("Mary", "John", "Daniel", "Sandra")
PLACES = ("bathroom", "bedroom", "garden", "hallway", "kitchen", "office")
THINGS = ("apple", "football", "milk")
_WALKS = ("went to", "moved to", "travelled to", "journeyed to", "went back to")
_TAKES = ("picked up", "got", "grabbed", "took")
_DROPS = ("dropped", "left", "put down", "discarded")
_WALK_SHARE = 0.6


@dataclass(frozen=True, slots=True)
class Story:
    """Sentences in their order, and one question."""

    sentences: list[str]
    question: str
    answer: str
    """One of `PLACES`."""


@dataclass(slots=True)
class _World:
    rng: random.Random
    place_of: dict[str, str] = field(default_factory=dict)
    """Person → where."""
    carrier_of: dict[str, str] = field(default_factory=dict)
    """Thing → who carries it."""
    ways: dict[str, list[str]] = field(default_factory=dict)
    """Thing → the places where it was, one after another; the last is where it is."""

    def step(self) -> str:
        """Let something happen, and tell it."""
        happened = [self._walk]
        if self.rng.random() > _WALK_SHARE:
            happened = [self._take, self._drop]
            self.rng.shuffle(happened)
        for happen in happened:
            if sentence := happen():
                return sentence
        return self._walk()

    def _walk(self) -> str:
        person = self.rng.choice(PEOPLE)
        place = self.rng.choice([place for place in PLACES if place != self.place_of.get(person)])
        self.place_of[person] = place
        for thing, carrier in self.carrier_of.items():
            if carrier == person:
                self.ways[thing].append(place)
        return f"{person} {self.rng.choice(_WALKS)} the {place}."

    def _take(self) -> str:
        """Nothing where nobody can take anything."""
        can_take = [
            (person, thing)
            for person in self.place_of
            for thing in THINGS
            if thing not in self.carrier_of and self._where(thing) in (None, self.place_of[person])
        ]
        if not can_take:
            return ""
        person, thing = self.rng.choice(can_take)
        self.carrier_of[thing] = person
        if self._where(thing) is None:
            self.ways[thing] = [self.place_of[person]]
        return f"{person} {self.rng.choice(_TAKES)} the {thing} there."

    def _drop(self) -> str:
        """Nothing where nobody carries anything."""
        if not self.carrier_of:
            return ""
        thing = self.rng.choice(sorted(self.carrier_of))
        person = self.carrier_of.pop(thing)
        return f"{person} {self.rng.choice(_DROPS)} the {thing} there."

    def _where(self, thing: str) -> str | None:
        return self.ways[thing][-1] if thing in self.ways else None


def draw_story(rng: random.Random, hops: int, num_facts: int) -> Story:
    """A story with a question that takes so many of its sentences.

    1: where somebody is. 2: where a thing is, which somebody carried there. 3: where a thing was before it was where it
    is. At each number of hops all other sentences are distractors.
    """
    while True:
        world = _World(rng)
        sentences = [world.step() for _ in range(num_facts)]
        if hops == 1:
            person = rng.choice(sorted(world.place_of))
            return Story(sentences, f"Where is {person}?", world.place_of[person])
        # A thing that was carried somewhere, or one sentence would be enough.
        moved = sorted(thing for thing, way in world.ways.items() if len(way) > 1)
        if not moved:
            continue
        thing = rng.choice(moved)
        *_, before, last = world.ways[thing]
        if hops == 2:
            return Story(sentences, f"Where is the {thing}?", last)
        return Story(sentences, f"Where was the {thing} before the {last}?", before)
