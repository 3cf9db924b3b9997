"""Which documents make up the context of a structure task, and which of their ends may be cut for the exact length.

What a program asks about a context must not change when the context is trimmed. So the documents are chosen to fill the
target with little to spare, and only the last passages of the last ones may be cut.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from app.dataset.layout import SEPARATOR, header
from app.dataset.structure.material import is_usable
from app.schema import ContextDocument, Passage
from app.tokens import Tokenizer

MIN_SLACK_TOKENS, SLACK_SHARE = 48, 0.01
"""Tokens by which the documents are to exceed their budget, and fall short of it without what may be cut: the larger of
the two, the share being that of the budget."""
_HEADER_NUMBER = 100


@dataclass(frozen=True, slots=True)
class Filling:
    """Documents in the order of the message."""

    documents: list[ContextDocument]
    trimmed_ids: frozenset[str]
    num_tokens: int
    """Tokens of the documents with their headers, each measured by itself."""
    num_trimmed_tokens: int
    """Tokens of the passages that may be cut."""


def recount(documents: Sequence[ContextDocument], tokenizer: Tokenizer) -> list[ContextDocument]:
    """Usable documents with their passages counted in the trained model's tokens."""
    found = []
    for document in filter(is_usable, documents):
        counts = tokenizer.count_batch([passage.text for passage in document.passages])
        passages = [
            replace(passage, num_tokens=count)
            for passage, count in zip(document.passages, counts, strict=True)
        ]
        found.append(replace(document, passages=passages))
    return found


def fill(
    documents: Sequence[ContextDocument],
    budget_tokens: int,
    tokenizer: Tokenizer,
    rng: Random,
    slack_factor: int = 1,
) -> Filling | None:
    """The first documents that exceed a budget, shuffled but for those that may be left out, which stand last.

    Args:
        documents: Ranked, with the trained model's counts.
        budget_tokens: What is left of the target beside question and answer.
        tokenizer: The trained model's; it counts the headers.
        rng: Source of randomness.
        slack_factor: How many times the usual slack is left.

    Returns:
        The documents; `None` when all of them together do not exceed the budget.
    """
    slack = slack_factor * max(MIN_SLACK_TOKENS, int(SLACK_SHARE * budget_tokens))
    chosen: list[ContextDocument] = []
    num_tokens = 0
    for document in documents:
        if num_tokens >= budget_tokens + slack:
            break
        num_tokens += tokenizer.count(f"{SEPARATOR}{header(_HEADER_NUMBER, document)}")
        passages: list[Passage] = []
        for passage in document.passages:
            if num_tokens >= budget_tokens + slack:
                break
            passages.append(passage)
            num_tokens += passage.num_tokens
        chosen.append(replace(document, passages=passages))
    if num_tokens < budget_tokens + slack:
        return None
    trimmed: set[str] = set()
    num_trimmed = 0
    wanted = num_tokens - budget_tokens + slack
    for passage in _from_the_end(chosen):
        if num_trimmed >= wanted:
            break
        trimmed.add(passage.passage_id)
        num_trimmed += passage.num_tokens
    is_kept = [any(passage.passage_id not in trimmed for passage in document.passages) for document in chosen]
    kept = [document for document, is_whole in zip(chosen, is_kept, strict=True) if is_whole]
    rng.shuffle(kept)
    ends = [document for document, is_whole in zip(chosen, is_kept, strict=True) if not is_whole]
    return Filling([*kept, *ends], frozenset(trimmed), num_tokens, num_trimmed)


def _from_the_end(documents: Sequence[ContextDocument]) -> Iterator[Passage]:
    for document in reversed(documents):
        yield from reversed(document.passages)
