"""Step 3: query-focused summaries, chunk by chunk in parallel, and again over the summaries until they fit."""

import asyncio
from dataclasses import dataclass
from itertools import pairwise

from app.agent.asking import StepFailedError, ask
from app.agent.llm import FILLING_PRIORITY, FIRST_PRIORITY, Generator, LlmCall, LlmReply
from app.agent.parsing import parse_summary
from app.agent.prompts import number_notes, summary_messages
from app.agent.words import UNWEIGHTED, WordWeights
from app.config import AgentConfig, GeneratorSection
from app.schema import ContextDocument, Passage, document_id_of, follows
from app.text.words import content_words
from app.tokens import Tokenizer

_OMISSION = "\n[…]\n"
_ADDED_SHARE = 0.15
"""Of the weight of a summary's words that a passage must add to those of better ones to be evidence too."""


@dataclass(frozen=True, slots=True)
class Note:
    """What one chunk, or one bundle of earlier notes, says about the instruction."""

    text: str
    passage_ids: tuple[str, ...]
    """Passages that it rests on."""

    @property
    def document_ids(self) -> frozenset[str]:
        """Documents that it rests on."""
        return frozenset(map(document_id_of, self.passage_ids))


async def summarize(
    instruction: str,
    documents: list[ContextDocument],
    random_seed: int,
    generate: Generator,
    agent: AgentConfig,
    generator: GeneratorSection,
    tokenizer: Tokenizer,
    max_notes_tokens: int,
    weights: WordWeights = UNWEIGHTED,
) -> list[Note]:
    """Notes on an instruction, in the documents' order, of at most `max_notes_tokens` tokens together.

    Raises:
        StepFailedError: Nothing was relevant, or the notes do not fit after `agent.max_summary_rounds`.
    """

    async def note_on(excerpt: str, index: int, priority: int) -> str | None:
        call = LlmCall(
            step="summary",
            messages=summary_messages(instruction, excerpt),
            max_output_tokens=agent.summary_tokens,
            random_seed=(random_seed + index) % 2**31,
            priority=priority,
        )
        return await ask(generate, call, _parse, generator.max_attempts)

    chunks = [chunk for document in documents for chunk in split_chunks(document, agent.chunk_tokens)]
    texts = await asyncio.gather(
        *(note_on(excerpt_of(chunk), index, FILLING_PRIORITY) for index, chunk in enumerate(chunks))
    )
    notes = [
        Note(text, supporting_passages(text, chunk, weights))
        for text, chunk in zip(texts, chunks, strict=True)
        if text is not None
    ]
    num_calls = len(chunks)
    for _ in range(agent.max_summary_rounds - 1):
        if tokenizer.count(number_notes([note.text for note in notes])) <= max_notes_tokens:
            break
        bundles = bundle_notes(notes, tokenizer, agent.chunk_tokens)
        texts = await asyncio.gather(
            *(
                note_on("\n\n".join(note.text for note in bundle), num_calls + index, FIRST_PRIORITY)
                for index, bundle in enumerate(bundles)
            )
        )
        num_calls += len(bundles)
        notes = [
            Note(text, tuple(dict.fromkeys(name for note in bundle for name in note.passage_ids)))
            for text, bundle in zip(texts, bundles, strict=True)
            if text is not None
        ]
    if not notes:
        raise StepFailedError("summary", "nothing relevant")
    if tokenizer.count(number_notes([note.text for note in notes])) > max_notes_tokens:
        raise StepFailedError("summary", "summaries do not fit")
    return notes


def split_chunks(document: ContextDocument, chunk_tokens: int) -> list[list[Passage]]:
    """A document's passages in runs of at most `chunk_tokens` tokens."""
    chunks: list[list[Passage]] = []
    num_tokens = 0
    for passage in document.passages:
        if not chunks or num_tokens + passage.num_tokens > chunk_tokens:
            chunks.append([])
            num_tokens = 0
        chunks[-1].append(passage)
        num_tokens += passage.num_tokens
    return chunks


def excerpt_of(chunk: list[Passage]) -> str:
    """A chunk's text, with a mark where passages between two of its own are left out."""
    parts = [chunk[0].text]
    for earlier, passage in pairwise(chunk):
        parts += [passage.text] if follows(passage, earlier) else [_OMISSION, passage.text]
    return "".join(parts)


def bundle_notes(notes: list[Note], tokenizer: Tokenizer, chunk_tokens: int) -> list[list[Note]]:
    """Notes in runs of at most `chunk_tokens` tokens, two at least: a round must shrink their number."""
    bundles: list[list[Note]] = []
    num_tokens = 0
    for note, count in zip(notes, tokenizer.count_batch([note.text for note in notes]), strict=True):
        if not bundles or (num_tokens + count > chunk_tokens and len(bundles[-1]) > 1):
            bundles.append([])
            num_tokens = 0
        bundles[-1].append(note)
        num_tokens += count
    return bundles


def supporting_passages(
    summary: str, chunk: list[Passage], weights: WordWeights = UNWEIGHTED
) -> tuple[str, ...]:
    """Passages of a chunk that a summary draws on; always at least one.

    A chunk holds several passages and the model is asked for one summary of it: without this step all of them would
    count as evidence. Passages are taken one after the other, each time the one whose words explain most of what is
    left of the summary, rare words before common ones, until none adds much.
    """
    found = [content_words(passage.text) for passage in chunk]
    left = content_words(summary) & set().union(*found)
    least = _ADDED_SHARE * weights.total(left)
    chosen: set[int] = set()
    while left:
        gains = [weights.total(left & words) for words in found]
        best = max(range(len(chunk)), key=gains.__getitem__)
        if gains[best] <= 0 or gains[best] < least:
            break
        chosen.add(best)
        left -= found[best]
    return tuple(chunk[index].passage_id for index in sorted(chosen)) or (chunk[0].passage_id,)


def _parse(reply: LlmReply) -> str | None:
    return parse_summary(reply.text, was_cut=reply.finish_reason == "length")
