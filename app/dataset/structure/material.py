"""What a structure task is made of: the documents that fill a context, and ways to change their text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from random import Random
from typing import Protocol

from app.dataset.layout import SEPARATOR
from app.schema import ContextDocument, Draft, Passage, Seed
from app.text.sentences import paragraph_borders, sentence_borders

MIN_UNITS = 3
"""A text with fewer paragraphs to choose from is divided into sentences."""
_FOREIGN_HEADER = re.compile(r"^Document \d+\b", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Unit:
    """A paragraph or a sentence as it stands in a document's text, white space around it left out."""

    rank: int
    """Index of its document."""
    start_char: int
    end_char: int
    text: str

    @property
    def words(self) -> list[str]:
        return self.text.split()


@dataclass(frozen=True)
class Material:
    """Documents in the order of the message, a little more than fill the target, and where they may be cut."""

    seed: Seed
    documents: list[ContextDocument]
    trimmed_ids: frozenset[str]
    """Passages that may be shortened, the last ones of the last documents: no answer rests on them."""
    rng: Random

    @property
    def num_whole(self) -> int:
        """Documents that stay in the message, at least in part; those behind them may be dropped."""
        return sum(
            any(passage.passage_id not in self.trimmed_ids for passage in document.passages)
            for document in self.documents
        )

    def whole_text(self, rank: int) -> str:
        """The stretch of a document's text that surely stays."""
        passages = self.documents[rank].passages
        return "".join(passage.text for passage in passages if passage.passage_id not in self.trimmed_ids)

    def all_text(self) -> str:
        """All that may stand in the message, one space for each stretch of white space, titles included."""
        return squeezed("\n".join(f"{document.title}\n{document.text}" for document in self.documents))

    def units(self, rank: int, min_words: int, max_words: int) -> list[Unit]:
        """Paragraphs of a document that surely stay, else its sentences, of a length in words.

        The first and the last of each stretch of a document are left out: retrieval may have cut them.
        """
        text = self.whole_text(rank)
        gaps = self.documents[rank].gaps
        found = _between(rank, text, paragraph_borders(text).tolist(), gaps, min_words, max_words)
        if len(found) < MIN_UNITS:
            found = _between(rank, text, sentence_borders(text).tolist(), gaps, min_words, max_words)
        return found


class TaskMaker(Protocol):
    """Makes one kind of task out of documents; a program then knows the answer."""

    @property
    def num_documents(self) -> int:
        """Documents that a context should have, if the corpus has them."""
        ...

    @property
    def question_tokens(self) -> int:
        """Guess of what the task adds to its documents, the chat template included; the first round measures it."""
        ...

    def make(self, material: Material) -> Draft | str:
        """The task, or why these documents give none: a short and countable reason."""
        ...


def is_usable(document: ContextDocument) -> bool:
    """Whether a document's text cannot be mistaken for the message's own frame."""
    text = f"\n\n{document.text}\n\n"
    return SEPARATOR not in text and _FOREIGN_HEADER.search(text) is None


def replace_range(
    document: ContextDocument, start_char: int, end_char: int, text: str, passage_id: str, num_tokens: int
) -> ContextDocument:
    """A document with other text in place of `[start_char, end_char)`, which becomes a passage of its own.

    The new passage follows what stands before it, and what stands behind it follows the new one: the message marks
    nothing as left out where the text was changed.

    Args:
        document: The document.
        start_char: In its text.
        end_char: Equal to `start_char` where text is only put in.
        text: What stands there instead.
        passage_id: Id of the new passage.
        num_tokens: Its tokens.
    """
    before: list[Passage] = []
    behind: list[Passage] = []
    position = 0
    for passage in document.passages:
        begin, end = position, position + len(passage.text)
        position = end
        head = passage.text[: max(start_char - begin, 0)]
        tail = passage.text[max(end_char - begin, 0) :] if end > end_char else ""
        if end <= start_char:
            before.append(passage)
            continue
        if begin >= end_char:
            behind.append(passage)
            continue
        if head:
            before.append(replace(passage, text=head, end_char=passage.start_char + len(head)))
        if tail:
            behind.append(replace(passage, text=tail, start_char=passage.end_char - len(tail)))
    start = before[-1].end_char if before else behind[0].start_char if behind else 0
    end = behind[0].start_char if behind and end_char > start_char else start
    put = Passage(passage_id, document.document_id, start, end, num_tokens, text)
    return replace(document, passages=[*before, put, *behind])


def passages_at(document: ContextDocument, start_char: int, end_char: int) -> list[str]:
    """Ids of the passages that a stretch of a document's text lies in."""
    found: list[str] = []
    position = 0
    for passage in document.passages:
        if position < end_char and position + len(passage.text) > start_char:
            found.append(passage.passage_id)
        position += len(passage.text)
    return found


def squeezed(text: str) -> str:
    """A text with one space for each stretch of white space."""
    return " ".join(text.split())


def opening(unit: Unit, num_words: int) -> str:
    """The first words of a unit."""
    return " ".join(unit.words[:num_words])


def listed(items: Sequence[str]) -> str:
    """A numbered list, one item a line."""
    return "\n".join(f"{number}. {item}" for number, item in enumerate(items, 1))


def _between(
    rank: int, text: str, borders: list[int], gaps: list[int], min_words: int, max_words: int
) -> list[Unit]:
    ends = [border for border in borders if border < len(text)]
    found: list[Unit] = []
    # Neither what stands before the first border nor what stands behind the last one.
    for start_char, end_char in pairwise(ends):
        if any(start_char <= gap <= end_char for gap in gaps):
            continue
        stretch = text[start_char:end_char].strip()
        if min_words <= len(stretch.split()) <= max_words:
            begin = text.index(stretch, start_char)
            found.append(Unit(rank, begin, begin + len(stretch), stretch))
    return found
