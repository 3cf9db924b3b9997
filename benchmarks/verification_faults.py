"""Rows of which it is known what is wrong with them: sound ones, and ones with each kind of planted fault.

Statements about invented names stand in passages of the bundled sample. A sound row asks for two of them, which stand
in two documents. Its distractors hold statements of the same forms about other names.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from app.dataset.structure.statements import Statement, draw_statements
from app.schema import ContextDocument, Document, Draft, Passage, Seed, passage_id_of
from app.text.sentences import split_sentences
from app.tokens import Tokenizer

NUM_DISTRACTORS, NUM_SENTENCES = 4, 4
# fmt: off
FACTS = (
    ("What is the capital of France?", "The capital of France is Paris."),
    ("What is the capital of Italy?", "The capital of Italy is Rome."),
    ("What is the capital of Japan?", "The capital of Japan is Tokyo."),
    ("What is the capital of Spain?", "The capital of Spain is Madrid."),
    ("What is the largest planet of the solar system?", "The largest planet of the solar system is Jupiter."),
    ("Which planet is closest to the Sun?", "Mercury is the planet closest to the Sun."),
    ("How many days are there in a week?", "There are seven days in a week."),
    ("How many continents are there?", "There are seven continents."),
    ("At what temperature does water boil?", "Water boils at 100 degrees Celsius."),
    ("At what temperature does water freeze?", "Water freezes at 0 degrees Celsius."),
    ("Who wrote Romeo and Juliet?", "Romeo and Juliet was written by William Shakespeare."),
    ("Who painted the Mona Lisa?", "The Mona Lisa was painted by Leonardo da Vinci."),
    ("What is the largest ocean on Earth?", "The largest ocean on Earth is the Pacific Ocean."),
    ("What is the tallest mountain on Earth?", "The tallest mountain on Earth is Mount Everest."),
    ("What is the chemical symbol of gold?", "The chemical symbol of gold is Au."),
    ("What do plants take from the air to make food?", "Plants take carbon dioxide from the air to make food."),
    ("Who was the first president of the United States?",
     "The first president of the United States was George Washington."),
    ("Who proposed the theory of relativity?", "The theory of relativity was proposed by Albert Einstein."),
    ("In which year did the Second World War end?", "The Second World War ended in 1945."),
    ("How many sides does a triangle have?", "A triangle has three sides."),
)
VAGUE = (
    "It emphasizes the importance of courage and determination in difficult times, and shows how people can overcome "
    "great challenges when they work together.",
    "It is a complex matter with many different factors, and it is important to consider all of them carefully before "
    "a decision is made.",
    "The main point is that history teaches valuable lessons, which remain relevant for people all over the world "
    "today.",
    "Overall, it was a significant development that had a lasting impact on society, culture and the economy.",
)
META = (
    "The passage states that {answer}", "According to the text, {answer}", "Note 1 says: {answer}",
    "{answer} This is described in the provided text.", "Based on the notes, {answer}",
    "The given document mentions the following. {answer}",
)
# fmt: on
FAULTS = ("closed_book", "ungrounded", "one_document", "wrong_marking", "meta_text")


@dataclass(frozen=True, slots=True)
class PlantedRow:
    """A draft and what is wrong with it."""

    draft: Draft
    fault: str | None
    """One of `FAULTS`; None: nothing."""
    true_ids: frozenset[str]
    """Passages that hold what is asked for."""


def plant_rows(documents: Sequence[Document], tokenizer: Tokenizer, num_each: int) -> list[PlantedRow]:
    """As many sound rows as rows with each fault, the same each time."""
    rows = []
    for index in range(num_each):
        for number, fault in enumerate((None, *FAULTS)):
            rng = Random(f"verification {index} {fault}")
            rows.append(_plant(rng, fault, index, len(FAULTS) * index + number, documents, tokenizer))
    return rows


def _plant(
    rng: Random,
    fault: str | None,
    index: int,
    number: int,
    documents: Sequence[Document],
    tokenizer: Tokenizer,
) -> PlantedRow:
    stretches = list(_stretches(rng, documents))
    statements = draw_statements(rng, 2 + NUM_DISTRACTORS, " ".join(" ".join(each) for each in stretches))
    asked, decoys = statements[:2], statements[2:]
    told, question, answer = [each.text for each in asked], _question(asked), _answer(asked, index)
    if fault == "closed_book":
        facts = rng.sample(FACTS, 2)
        told = [fact for _, fact in facts]
        question, answer = " ".join(each for each, _ in facts), " ".join(told)
    elif fault == "ungrounded":
        answer = VAGUE[index // 2 % len(VAGUE)] if index % 2 else _answer(decoys[:2], index)
    elif fault == "one_document":
        told = [" ".join(told), ""]
    elif fault == "meta_text":
        answer = META[index % len(META)].format(answer=answer)
    told += [each.text for each in decoys]
    context = [
        _document(rng, place, sentences, statement, tokenizer)
        for place, (sentences, statement) in enumerate(zip(stretches, told, strict=True))
    ]
    ids = [document.passages[0].passage_id for document in context]
    marked = ids[2:4] if fault == "wrong_marking" else ids[:2]
    rng.shuffle(context)
    name = f"{fault or 'sound'}-{index:03d}"
    seed = Seed(name, number, "long_input", "multi_hop", "d", ids[0], "", 0, rng.randrange(2**31))
    return PlantedRow(Draft(seed, question, answer, context, marked), fault, frozenset(ids[:2]))


def _question(asked: Sequence[Statement]) -> str:
    return "Find out two things. " + " ".join(each.question for each in asked)


def _answer(statements: Sequence[Statement], index: int) -> str:
    """Out of the document's own words, and every other time in few."""
    return " ".join(each.reply if index % 2 else each.text for each in statements)


def _stretches(rng: Random, documents: Sequence[Document]) -> Iterator[list[str]]:
    for document in rng.sample(list(documents), 2 + NUM_DISTRACTORS):
        sentences = [" ".join(each.split()) for each in split_sentences(document.text[:5000])]
        usable = [each for each in sentences if 6 <= len(each.split()) <= 40]
        start = rng.randrange(max(1, len(usable) - NUM_SENTENCES))
        yield usable[start : start + NUM_SENTENCES]


def _document(
    rng: Random, place: int, sentences: Sequence[str], statement: str, tokenizer: Tokenizer
) -> ContextDocument:
    at = rng.randrange(len(sentences) + 1)
    text = " ".join(each for each in (*sentences[:at], statement, *sentences[at:]) if each)
    name = f"document-{place}"
    passage = Passage(passage_id_of(name, 0), name, 0, len(text), tokenizer.count(text), text)
    return ContextDocument(name, "", [passage], 1.0)
