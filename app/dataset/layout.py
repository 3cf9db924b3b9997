"""The layout of a long user message, and the positions of its parts."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.dataset.trimming import Stretch
from app.faults import UserError
from app.schema import ContextDocument, Evidence

SEPARATOR = "\n\n---\n\n"
OMISSION = "\n\n[...]\n\n"
"""Stands for what was left out between two stretches of one document."""
MAX_TITLE_CHARS = 200
WINDOW_CHARS = 256
"""Of the following text that is counted with a document whose end moves: tokens rarely reach farther."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A user message and where its documents stand. Documents are named by their rank, the index in the draft."""

    text: str
    order: list[int]
    """Ranks in the order of the message."""
    blocks: dict[int, tuple[int, int]]
    """Rank → character range of the document's header and text."""
    evidence: dict[str, Stretch]
    """Passage → its character range."""

    def window(self, rank: int) -> str:
        """One document with its header and a little of what stands around: all that a cut in it changes."""
        start_char, end_char = self.blocks[rank]
        return self.text[max(start_char - len(SEPARATOR), 0) : end_char + WINDOW_CHARS]


def header(number: int, document: ContextDocument) -> str:
    """What stands above a document's text."""
    title = " ".join(document.title.split())[:MAX_TITLE_CHARS]
    return f"Document {number}: {title}\n\n" if title else f"Document {number}\n\n"


def lay_out(
    documents: Sequence[ContextDocument],
    order: list[int],
    stretches: Mapping[int, list[Stretch]],
    evidence_ids: set[str],
    instruction: str,
    elisions: Mapping[int, str],
) -> Layout:
    """Write a user message: documents under their headers, then the instruction.

    Args:
        documents: All of the draft's.
        order: Ranks of those that stand in the message.
        stretches: Rank → what is left of its text.
        evidence_ids: Passages to be located; they are whole in what is left.
        instruction: Stands last.
        elisions: Rank → what is put to its end.
    """
    parts: list[str] = []
    blocks: dict[int, tuple[int, int]] = {}
    evidence: dict[str, Stretch] = {}
    position = 0
    for number, rank in enumerate(order, 1):
        document = documents[rank]
        text, head = document.text, header(number, document)
        kept = OMISSION.join(text[start_char:end_char] for start_char, end_char in stretches[rank])
        passage_start = 0
        for passage in document.passages:
            if passage.passage_id in evidence_ids:
                start_char = position + len(head) + _place(passage_start, stretches[rank])
                evidence[passage.passage_id] = (start_char, start_char + len(passage.text))
            passage_start += len(passage.text)
        parts.append(head + kept + elisions.get(rank, ""))
        blocks[rank] = (position, position + len(parts[-1]))
        position += len(parts[-1]) + len(SEPARATOR)
    return Layout(SEPARATOR.join([*parts, instruction]), order, blocks, evidence)


def measure_depths(layout: Layout, rendered: str, token_starts: Sequence[int]) -> list[Evidence]:
    """Where each evidence passage stands: its characters in the message, and its depth in the rendered chat's tokens.

    They come in the order of the message.

    Args:
        layout: The user's message.
        rendered: The chat with that message.
        token_starts: Character at which each token of `rendered` starts.

    Raises:
        UserError: The chat template changed the message.
    """
    # Some templates strip a message's end.
    offset = rendered.find(layout.text.rstrip())
    if offset < 0:
        raise UserError(
            "dataset.tokenizer: its chat template rewrites the user's text; use a model whose template keeps it"
        )
    evidence: list[Evidence] = []
    for passage_id, (start_char, end_char) in layout.evidence.items():
        token = max(bisect_right(token_starts, offset + start_char) - 1, 0)
        evidence.append(Evidence(passage_id, token / len(token_starts), start_char, end_char))
    return evidence


def _place(char: int, stretches: list[Stretch]) -> int:
    """Where a character of a document's text stands once only `stretches` are left of it."""
    position = 0
    for start_char, end_char in stretches:
        if start_char <= char < end_char:
            return position + char - start_char
        position += end_char - start_char + len(OMISSION)
    raise AssertionError(f"character {char} was trimmed away, yet evidence stays whole")
