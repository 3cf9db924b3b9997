"""Makes the bundled questions of `eval/short/data`: `python -m tests.eval.short.questions` writes them again.

They are kept as files, so that scores of different days are scores of the same questions. A test holds the files to
this program.
"""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eval.recall.facts import Fact, accepted, load_facts
from eval.short.bundled import DATA, LETTERS
from eval.short.instructions import CHECKS, phrase

NUM_ARITHMETIC = 60
NUM_READING = 54
NUM_INSTRUCTIONS = 60

Question = dict[str, Any]

_TOPICS = (
    "rivers", "bicycles", "bread", "the moon", "libraries", "winter", "trains", "honey bees", "bridges", "tea",
    "mountains", "clocks", "gardens", "the sea", "letters", "music", "markets", "lighthouses", "maps", "horses",
)  # fmt: skip
_PEOPLE = (
    "Anna",
    "Boris",
    "Clara",
    "David",
    "Elena",
    "Farid",
    "Greta",
    "Hugo",
    "Irene",
    "Jonas",
    "Katja",
    "Luis",
)
_TOWNS = ("Alderby", "Brookhaven", "Castlemere", "Dunfield", "Eastwick", "Fernhill", "Glenport", "Harrowgate")
_GOODS = ("apples", "candles", "carpets", "kettles", "lamps", "ropes", "spoons", "umbrellas")
_COLORS = ("blue", "brown", "green", "grey", "orange", "purple", "red", "yellow")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_READINGS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "{p0} left {t0} on {d0} with a cart of {g0}. In {t1} the road was flooded, so {p1} lent a boat. They reached "
        "{t2} two days later and sold everything there.",
        (
            ("Who lent the boat?", "{p1}"),
            ("What was on the cart?", "{g0}"),
            ("Where was the road flooded?", "{t1}"),
        ),
    ),
    (
        "There are three houses by the harbour of {t0}. The {c0} one belongs to {p0}, the {c1} one to {p1}, and the "
        "{c2} one has been empty since {p2} moved to {t1}.",
        (
            ("What colour is the house of {p1}?", "{c1}"),
            ("Who moved away?", "{p2}"),
            ("In which town is the harbour?", "{t0}"),
        ),
    ),
    (
        "The market of {t0} opens on {d0}. {p0} sells {g0} there, next to {p1}, who sells {g1}. Nobody sells {g2} any "
        "more, as {p2} closed the stall last year.",
        (
            ("What does {p1} sell?", "{g1}"),
            ("On which day does the market open?", "{d0}"),
            ("Who closed a stall?", "{p2}"),
        ),
    ),
    (
        "{p0} wrote to {p1} that the train to {t0} no longer runs on {d0}. {p1} had already bought a ticket, and now "
        "takes the bus to {t1} on {d1} instead.",
        (
            ("Who had bought a ticket?", "{p1}"),
            ("Where does the bus go?", "{t1}"),
            ("On which day is the bus taken?", "{d1}"),
        ),
    ),
    (
        "The prize for the best kite went to {p0}, whose kite was {c0}. Second came {p1} with a {c1} one. The kite of "
        "{p2}, {c2} with a long tail, was lost over {t0}.",
        (
            ("Who won the prize?", "{p0}"),
            ("What colour was the kite that came second?", "{c1}"),
            ("Over which town was a kite lost?", "{t0}"),
        ),
    ),
    (
        "In {t0} {p0} makes {g0} and {p1} makes {g1}. When {p1} fell ill on {d0}, {p2} came over from {t1} to help "
        "out, and stayed for a month.",
        (
            ("Who came to help?", "{p2}"),
            ("From which town did help come?", "{t1}"),
            ("What does {p0} make?", "{g0}"),
        ),
    ),
)


def arithmetic() -> list[Question]:
    """Sums, differences, products, and problems in words that take two steps; the first half with small numbers."""
    rng = random.Random("arithmetic")
    questions: list[Question] = []
    for index in range(NUM_ARITHMETIC):
        is_small = index < NUM_ARITHMETIC // 2
        least, most = (2, 20) if is_small else (100, 999)
        match index % 4:
            case 0:
                a, b = rng.randint(least, most), rng.randint(least, most)
                text, answer = f"What is {a} + {b}?", a + b
            case 1:
                b, rest = rng.randint(least, most), rng.randint(least, most)
                text, answer = f"What is {b + rest} - {b}?", rest
            case 2:
                a, b = rng.randint(2, 9) if is_small else rng.randint(12, 99), rng.randint(3, 9)
                text, answer = f"What is {a} times {b}?", a * b
            case _:
                person, goods = rng.choice(_PEOPLE), rng.choice(_GOODS)
                boxes, each, sold = rng.randint(3, 9), rng.randint(4, 12), rng.randint(2, 11)
                text = (
                    f"{person} has {boxes} boxes of {each} {goods} each and sells {sold} {goods}. "
                    f"How many {goods} are left?"
                )
                answer = boxes * each - sold
        questions.append(_asked(f"{text} Answer with the number only.", answer=str(answer)))
    return questions


def facts() -> list[Question]:
    """The table of the recall suite, with four answers of a kind to choose from."""
    rng = random.Random("facts")
    return [_choice(fact, rng) for fact in load_facts()]


def reading() -> list[Question]:
    """A name or a word out of a paragraph with several of its kind."""
    rng = random.Random("reading")
    questions: list[Question] = []
    for index in range(NUM_READING):
        text, asked = _READINGS[index % len(_READINGS)]
        question, answer = asked[index // len(_READINGS) % len(asked)]
        names = {
            f"{letter}{number}": name
            for letter, of in (("p", _PEOPLE), ("t", _TOWNS), ("g", _GOODS), ("c", _COLORS), ("d", _DAYS))
            for number, name in enumerate(rng.sample(of, 3))
        }
        prompt = f"{text.format(**names)}\n\n{question.format(**names)} Answer with one word."
        questions.append(_asked(prompt, answer=answer.format(**names)))
    return questions


def instructions() -> list[Question]:
    """Short texts to be written in a form that a program can tell; the last third asks for two things at once."""
    rng = random.Random("instructions")
    questions: list[Question] = []
    kinds = list(CHECKS)
    for index in range(NUM_INSTRUCTIONS):
        drawn = [CHECKS[kinds[index % len(kinds)]]]
        if index >= NUM_INSTRUCTIONS * 2 // 3:
            drawn.append(CHECKS[rng.choice(sorted(drawn[0].goes_with))])
        checks = [check.draw(rng) for check in drawn]
        told = " ".join(phrase(check) for check in checks)
        topic = _TOPICS[index % len(_TOPICS)]
        questions.append({"prompt": f"Write about {topic}. {told}", "checks": checks})
    return questions


MAKERS: dict[str, Callable[[], list[Question]]] = {
    "arithmetic": arithmetic,
    "facts": facts,
    "reading": reading,
    "instructions": instructions,
}


def write(folder: Path) -> None:
    """Write all files."""
    for name, make in MAKERS.items():
        lines = (json.dumps(question, ensure_ascii=False) for question in make())
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")


def _asked(question: str, **fields: Any) -> Question:
    return {"prompt": f"Question: {question}\nAnswer:", **fields}


def _choice(fact: Fact, rng: random.Random) -> Question:
    same_kind = {other.answer for other in load_facts() if other.kind == fact.kind}
    choices = [
        fact.answer,
        *rng.sample(sorted(same_kind - set(accepted(fact.kind, fact.answer))), len(LETTERS) - 1),
    ]
    rng.shuffle(choices)
    listed = "\n".join(f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=True))
    return _asked(
        f"{fact.question}\n{listed}\nAnswer with the letter only.",
        answer=LETTERS[choices.index(fact.answer)],
        choices=choices,
    )


if __name__ == "__main__":
    write(DATA)
