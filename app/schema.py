"""The rows that jobs pass to each other, and their Arrow schemas.

document → passage (a retrievable stretch of it) → seed (one example to be made) → example (one training row).
Ids are deterministic: a document's is its content's hash, a passage's the document's plus its own index, a seed's its
kind and index; an example carries its seed's id.
"""

import hashlib
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, TypedDict

import pyarrow as pa

Kind = Literal["long_input", "long_output", "structure"]
AnswerType = Literal["text", "number", "ordered_list", "set"]
CheckerName = Literal["exact", "number", "ordered_list", "set", "facts", "turns"]
"""Ways to score a reply; `app.checkers` has them."""
AnswerKey = str | int | list[str] | list[int]


class Message(TypedDict):
    """One turn of a chat."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Document:
    """One text of the corpus."""

    document_id: str
    text: str
    title: str
    source: str
    """File that it came from."""
    line: int
    """1-based row in that file."""


@dataclass(frozen=True, slots=True)
class Passage:
    """The stretch `text[start_char:end_char]` of a document; a document's passages tile it without a gap."""

    passage_id: str
    document_id: str
    start_char: int
    end_char: int
    num_tokens: int
    """Tokens of this text, in the generator's tokenizer."""
    text: str


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that was rejected from the corpus or the dataset, and why."""

    row_id: str
    """Seed's id, or `source:line` in the corpus."""
    step: str
    reason: str
    """Short and countable: what the tables of rejects group by."""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Seed:
    """One example to be made."""

    seed_id: str
    seed_index: int
    kind: Kind
    task: str
    """Kind of instruction, a key of `app.agent.prompts.TASKS`; `write` for long outputs; for `structure` a key of
    `app.dataset.structure.tasks.STRUCTURE_TASKS`."""
    document_id: str
    """Long output: the target document. Other kinds: the document of the seed passage."""
    passage_id: str
    """Id of the seed passage; empty for long outputs."""
    text: str
    """Text of the seed passage or of the whole target document, so that a seed needs no look-up."""
    target_tokens: int
    """Length of the document, for a long output; for other kinds, length of the example to make."""
    random_seed: int


@dataclass(frozen=True, slots=True)
class ContextDocument:
    """A document as it stands in a long context: its passages, or a few stretches of them around what was found."""

    document_id: str
    title: str
    passages: list[Passage]
    score: float

    @property
    def text(self) -> str:
        return "".join(passage.text for passage in self.passages)

    @property
    def gaps(self) -> list[int]:
        """Characters of `text` at which a stretch begins that does not follow the one before it in the document."""
        found: list[int] = []
        position = 0
        for passage, following in pairwise(self.passages):
            position += len(passage.text)
            if not follows(following, passage):
                found.append(position)
        return found

    @property
    def num_tokens(self) -> int:
        return sum(passage.num_tokens for passage in self.passages)


@dataclass(frozen=True, slots=True)
class TaskData:
    """What a program needs to check a reply."""

    answer_key: AnswerKey
    answer_type: AnswerType
    checker: CheckerName
    num_hops: int
    """Look-ups that follow from each other."""
    num_needed_documents: int
    """Documents that must be read for the answer."""
    difficulty: float | None = None
    """Share of wrong replies, from 0.0 to 1.0; None where none was measured."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What was measured of an answer: log-likelihoods per answer token, in nats."""

    closed_book: float | None = None
    """Of the answer after its instruction alone."""
    evidence_gain: float | None = None
    """What the evidence adds to that."""
    distractor_gain: float | None = None
    """What those other passages add that share most words with the answer; 0.0 where there are none."""
    necessity: dict[str, float] = field(default_factory=dict)
    """Evidence document → what is lost without it. Where there are many, only those are left out that share most words
    with the answer."""
    judged_relevance: int | None = None
    """How far the answer does what the instruction asks, from 1 to 5; None where no judge was asked."""
    judged_correctness: int | None = None
    """How far the evidence says what the answer says, from 1 to 5."""
    not_verified: str | None = None
    """Why nothing was measured."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What is made of a seed; assembly turns it into an example of the seed's length."""

    seed: Seed
    instruction: str
    answer: str
    documents: list[ContextDocument]
    """Documents in ranked order; empty for long outputs."""
    evidence_ids: list[str]
    """Passages of `documents` that the answer rests on; empty for long outputs."""
    trimmed_ids: list[str] | None = None
    """Passages that may be shortened or left out; the others stay whole, and the documents stand in this order. None:
    all passages but the evidence, and assembly chooses the order."""
    follow_up: list[Message] = field(default_factory=list)
    """Turns after the first answer: questions and their answers."""
    task_data: TaskData | None = None
    """None where no program can check the answer."""
    verification: Verification | None = None
    """None where nobody asked for one."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A passage that an answer rests on and where it stands."""

    passage_id: str
    depth: float
    """0.0 is the example's first token, 1.0 its last."""
    start_char: int
    """Its first character in the user's message."""
    end_char: int
    """The character after its last."""


@dataclass(frozen=True, slots=True)
class Example:
    """One training row."""

    example_id: str
    kind: Kind
    task: str
    messages: list[Message]
    num_tokens: int
    """Tokens of the messages under the trained model's chat template."""
    document_ids: list[str]
    evidence: list[Evidence]
    generator: str
    prompt_version: str
    instruction: str
    """The instruction alone, without the documents: what filters and readers look at."""
    task_data: TaskData | None = None
    """None where no program can check the answer."""
    verification: Verification | None = None
    """None where nobody asked for one."""


def hash_text(text: str, num_chars: int = 16) -> str:
    """Content hash used in ids; surrogates, which UTF-8 can't hold, are hashed as they stand."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:num_chars]


def passage_id_of(document_id: str, index: int) -> str:
    """Id of a document's passage number `index`, counted from 0."""
    return f"{document_id}:{index:05d}"


def follows(passage: Passage, earlier: Passage) -> bool:
    """Whether a passage stands right after another one of the same document."""
    return passage.start_char == earlier.end_char


def document_id_of(passage_id: str) -> str:
    """Id of the document that a passage belongs to."""
    return passage_id.rpartition(":")[0]


DOCUMENT_SCHEMA = pa.schema(
    [
        ("document_id", pa.string()),
        ("text", pa.large_string()),
        ("title", pa.string()),
        ("source", pa.string()),
        ("line", pa.int64()),
        ("num_tokens", pa.int64()),
    ]
)

PASSAGE_SCHEMA = pa.schema(
    [
        ("passage_id", pa.string()),
        ("document_id", pa.string()),
        ("start_char", pa.int64()),
        ("end_char", pa.int64()),
        ("num_tokens", pa.int32()),
        ("text", pa.large_string()),
    ]
)

REJECT_SCHEMA = pa.schema(
    [("row_id", pa.string()), ("step", pa.string()), ("reason", pa.string()), ("detail", pa.string())]
)

SEED_SCHEMA = pa.schema(
    [
        ("seed_id", pa.string()),
        ("seed_index", pa.int64()),
        ("kind", pa.string()),
        ("task", pa.string()),
        ("document_id", pa.string()),
        ("passage_id", pa.string()),
        ("text", pa.large_string()),
        ("target_tokens", pa.int64()),
        ("random_seed", pa.int64()),
    ]
)

MESSAGES_TYPE = pa.list_(pa.struct([("role", pa.string()), ("content", pa.large_string())]))

VERIFICATION_TYPE = pa.struct(
    [
        ("closed_book", pa.float64()),
        ("evidence_gain", pa.float64()),
        ("distractor_gain", pa.float64()),
        ("necessity", pa.list_(pa.struct([("document_id", pa.string()), ("drop", pa.float64())]))),
        ("judged_relevance", pa.int64()),
        ("judged_correctness", pa.int64()),
        ("not_verified", pa.string()),
    ]
)
"""`Verification`, its necessity as a list."""

EXAMPLE_SCHEMA = pa.schema(
    [
        ("example_id", pa.string()),
        ("kind", pa.string()),
        ("task", pa.string()),
        ("messages", MESSAGES_TYPE),
        ("num_tokens", pa.int64()),
        ("document_ids", pa.list_(pa.string())),
        ("evidence_ids", pa.list_(pa.string())),
        ("evidence_depths", pa.list_(pa.float64())),
        ("evidence_spans", pa.list_(pa.list_(pa.int64()))),
        ("generator", pa.string()),
        ("prompt_version", pa.string()),
        ("instruction", pa.large_string()),
        ("task_data", pa.string()),
        ("verification", VERIFICATION_TYPE),
    ]
)
