"""All prompts, in one place, with one version.

In every prompt the part that many calls share comes first and what differs comes last, so that an engine's prefix
cache serves it: the system message is the same for all calls of a step, and the calls that summarise one example's
chunks share its instruction too.
"""

from collections.abc import Sequence
from typing import NamedTuple

from app.schema import Message

PROMPT_VERSION = "2"
"""Raise it with any change of a word below: it stands in every example."""

NOTHING_RELEVANT = "NOTHING RELEVANT"


class Task(NamedTuple):
    """A kind of long-input instruction."""

    description: str
    openings: tuple[str, ...]
    """First words of such an instruction; the seed draws one. They keep a small model to the kind that was asked for,
    and give a large one variety."""
    min_documents: int = 2
    """Fewest documents that the evidence of such an instruction stands in."""


TASKS: dict[str, Task] = {
    "compare": Task(
        "It compares two or more people, things, places or ideas that different documents describe.",
        ("Compare how", "Compare what is known about", "Compare and contrast"),
    ),
    "trace": Task(
        "It asks to trace how something came about or changed, through causes told in different documents.",
        ("Trace how", "Trace what led to", "Follow, step by step, how"),
    ),
    "aggregate": Task(
        "It asks to collect facts of one sort that are spread over many documents, and to sum them up.",
        ("Collect all that is known about", "List everything that is said about", "Gather the facts about"),
    ),
    "multi_hop": Task(
        "Its answer takes several steps, each step's fact from another document.",
        ("Find out who", "Find out which", "Find out what became of"),
    ),
    "aspects": Task(
        "It asks for a summary of a subject under two to four aspects that it names.",
        ("Summarize what is known about", "Describe, aspect by aspect,"),
        min_documents=1,
    ),
    "timeline": Task(
        "It asks for a timeline: what happened when, put together out of several documents.",
        ("Put together a timeline of", "Tell in the order of time what happened to"),
    ),
    "contradiction": Task(
        "It asks where accounts of the same matter agree and where they contradict each other.",
        ("Show where accounts agree and where they contradict each other about",),
    ),
    "explain": Task(
        "It asks to explain a matter in depth to a newcomer, with evidence from several documents.",
        ("Explain in depth how", "Explain to a newcomer why", "Explain, with evidence, what"),
    ),
}
"""What `agent.task_weights` draws among."""

LONG_OUTPUT_TASK = "write"
LONG_OUTPUT_OPENINGS = (
    "Write a document about",
    "Write a detailed text about",
    "Write a long and thorough piece on",
)

_INSTRUCTION_SYSTEM = """\
You write instructions for a researcher who searches a large library. An instruction names its subject (people, \
places, dates, works, terms), needs facts out of many documents and cannot be answered from general knowledge, and \
never mentions a text, a passage or anything above. Reply with one instruction of one to three sentences and nothing \
else."""

_SUMMARY_SYSTEM = f"""\
You take notes for a colleague who must carry out an instruction and cannot see the documents. From the excerpt you \
are given, write down every fact that helps with the instruction: names, numbers, dates, causes, short quotations. \
Write the facts alone, in plain sentences with names in place of pronouns, and never mention an excerpt. Add nothing. \
If nothing in it helps, answer {NOTHING_RELEVANT}."""

_SELECTION_SYSTEM = """\
You are given an instruction and numbered notes. Choose the notes that are needed to carry out the instruction and \
leave out those that do not help. Answer in JSON: {"notes": [numbers]}"""

_ANSWER_SYSTEM = """\
Carry out the instruction, thoroughly and in your own words, with the facts in the notes. Draw on each of them and use \
no other facts. Write as if you knew all this yourself: never mention a note, a text, a passage or the instruction."""

_BACKTRANSLATION_SYSTEM = """\
You describe a document as the request to a writer that it answers: its kind, its subject, its main points in their \
order, its reader, its tone and its length in words, which you are told. The writer will not see the document, so the \
request never mentions one. Reply with the request, in one paragraph, and nothing else."""


_JUDGE_SYSTEM = """\
You check answers. You are given passages, an instruction and an answer to it. Grade two things from 1 to 5. \
Relevance: 5 if the answer does all that the instruction asks and nothing else, 3 if it does about half of it, 1 if it \
is about something else. Correctness: 5 if the passages say all that the answer says, 3 if one of its statements is \
not theirs, 1 if they contradict it or say nothing of it. Answer in JSON: {"relevance": number, \
"correctness": number}"""


def instruction_messages(passage: str, task: str) -> tuple[Message, ...]:
    """Ask for a long-input instruction. The random passage at the start gives each call a different subject."""
    return _chat(
        f"{_INSTRUCTION_SYSTEM} {TASKS[task].description}",
        f"{passage.strip()}\n\n---\nWrite one instruction about this subject.",
    )


def summary_messages(instruction: str, excerpt: str) -> tuple[Message, ...]:
    """Ask for a query-focused summary of one chunk."""
    return _chat(_SUMMARY_SYSTEM, f"Instruction: {instruction}\n\nExcerpt:\n{excerpt.strip()}\n\nNotes:")


def selection_messages(
    instruction: str, notes: list[str], sources: Sequence[Sequence[int]], min_documents: int
) -> tuple[Message, ...]:
    """Ask which notes the answer needs.

    Args:
        instruction: To be answered.
        notes: Texts.
        sources: Numbers of the documents that each note rests on.
        min_documents: Fewest documents that the chosen notes rest on together.
    """
    least = f"\n\nChoose notes of at least {min_documents} documents." if min_documents > 1 else ""
    return _chat(_SELECTION_SYSTEM, f"Instruction: {instruction}\n\n{number_notes(notes, sources)}{least}")


def answer_messages(instruction: str, notes: list[str]) -> tuple[Message, ...]:
    """Ask for the answer, from the chosen notes only."""
    return _chat(_ANSWER_SYSTEM, f"Instruction: {instruction}\n\n{number_notes(notes)}\n\nAnswer:")


def backtranslation_messages(document: str, num_words: int) -> tuple[Message, ...]:
    """Ask for the writing instruction that a document of that many words answers."""
    return _chat(
        _BACKTRANSLATION_SYSTEM,
        f"{document.strip()}\n\n---\nThe document has about {num_words:,} words. Write the request for this document.",
    )


def passages_messages(instruction: str, passages: Sequence[str]) -> tuple[Message, ...]:
    """What an answer is scored after: passages, as they stand in an example, and the instruction; without any, the
    instruction alone. Nobody replies to it.
    """
    blocks = [f"Document {number}\n\n{text.strip()}" for number, text in enumerate(passages, 1)]
    return ({"role": "user", "content": "\n\n---\n\n".join([*blocks, instruction])},)


def judge_messages(instruction: str, passages: Sequence[str], answer: str) -> tuple[Message, ...]:
    """Ask a judge for an answer's grades."""
    shown = "\n\n".join(f"Passage {number}: {text.strip()}" for number, text in enumerate(passages, 1))
    return _chat(_JUDGE_SYSTEM, f"{shown}\n\nInstruction: {instruction}\n\nAnswer: {answer}")


def number_notes(notes: list[str], sources: Sequence[Sequence[int]] = ()) -> str:
    """Notes as the prompts show them, with the numbers of their documents where these are given."""
    places = [f" (document {', '.join(map(str, numbers))})" for numbers in sources] or [""] * len(notes)
    return "\n\n".join(
        f"Note {number}{place}: {note}"
        for number, (note, place) in enumerate(zip(notes, places, strict=True), 1)
    )


def _chat(system: str, user: str) -> tuple[Message, ...]:
    return ({"role": "system", "content": system}, {"role": "user", "content": user})
