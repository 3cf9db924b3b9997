"""Parses an LLM's text: JSON fields, complete sentences, valid instructions."""

import json
import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from app.agent.meta_text import names_no_author
from app.agent.phrases import before_comment, refers_to_context, says_nothing_relevant, speaks_of_notes
from app.agent.words import UNWEIGHTED, WordWeights, has_capitals, specific_words
from app.text.sentences import split_sentences, whole_sentences
from app.text.words import content_words, split_words

MIN_INSTRUCTION_WORDS = 5
MIN_SUBJECT_WORDS = 2
MIN_SUBJECT_WEIGHT = 1.2
"""Of the words that an instruction shares with its subject: two rare ones, or several that are less so."""

_ANSWER_LABEL = re.compile(r"\**(?:final )?answer\s*:\**\s*", re.IGNORECASE)
_FENCE = re.compile(r"```\w*\s*\n(?P<content>.*?)\n?\s*```", re.DOTALL)
_THOUGHTS_BEGIN, _THOUGHTS_END = "<think>", "</think>"


class MalformedReplyError(ValueError):
    """A reply that is not what its step needs; the reason is short and countable."""


def selection_schema(sources: Sequence[AbstractSet[str]], min_documents: int = 1) -> dict[str, Any]:
    """JSON schema of a choice among notes 1, 2 …

    Args:
        sources: Ids of the documents that each note rests on.
        min_documents: Documents that the chosen notes must rest on together: the list is at least so long.
    """
    num_notes, min_notes, num_documents = len(sources), 0, 0
    for count in sorted(map(len, sources), reverse=True):
        if num_documents < min_documents:
            min_notes, num_documents = min_notes + 1, num_documents + count
    item = {"type": "integer", "enum": list(range(1, num_notes + 1))}
    notes = {"type": "array", "items": item, "minItems": max(min_notes, 1), "maxItems": num_notes}
    return {
        "type": "object",
        "properties": {"notes": notes},
        "required": ["notes"],
        "additionalProperties": False,
    }


def strip_thoughts(text: str) -> str:
    """The reply of a reasoning model without what it thought first.

    Raises:
        MalformedReplyError: it thinks and never answers.
    """
    _, end, answer = text.rpartition(_THOUGHTS_END)
    if not end and _THOUGHTS_BEGIN in text:
        raise MalformedReplyError("thoughts without an answer")
    return answer.strip() if end else text


def parse_instruction(
    text: str, was_cut: bool, subject: str, request: str, weights: WordWeights = UNWEIGHTED
) -> str:
    """The instruction in a reply.

    Args:
        text: The reply.
        was_cut: It ended at the length limit.
        subject: Text that the model was given to write about; the instruction must name something of it.
        request: The words in which it was asked; echoing them names nothing.
        weights: How much a word tells about a subject.

    Raises:
        MalformedReplyError: Too short to mean anything, repeats itself, not about the subject, names
            nothing that could be looked for, or points at a text that nobody will see.
    """
    paragraphs = text.strip().split("\n\n")
    prose = parse_prose(paragraphs[0], was_cut and len(paragraphs) == 1)
    instruction = " ".join(prose.strip('"“”* ').split())
    # Small models go on to say what kind of instruction they have just written. What stands before that is whole.
    instruction = before_comment(instruction)
    if len(split_words(instruction)) < MIN_INSTRUCTION_WORDS:
        raise MalformedReplyError("instruction too short")
    sentences = [words for part in split_sentences(instruction) if (words := tuple(split_words(part)))]
    if len(set(sentences)) < len(sentences):
        raise MalformedReplyError("instruction repeats itself")
    if refers_to_context(instruction) or names_no_author(instruction) or speaks_of_notes(instruction):
        raise MalformedReplyError("instruction refers to a text")
    named = (content_words(instruction) - content_words(request)) & content_words(subject)
    if len(named) < MIN_SUBJECT_WORDS or weights.total(named) < MIN_SUBJECT_WEIGHT:
        raise MalformedReplyError("instruction off its subject")
    is_specific = specific_words(instruction) & set(split_words(subject))
    if has_capitals(named) and not is_specific and not any(weights.is_rare(word) for word in named):
        raise MalformedReplyError("instruction names nothing to look for")
    return instruction


def parse_selection(text: str, sources: Sequence[AbstractSet[str]], min_documents: int = 1) -> list[int]:
    """0-based positions of the chosen notes, in order, each once.

    Args:
        text: The reply.
        sources: Ids of the documents that each note rests on.
        min_documents: Documents that the chosen notes must rest on together.

    Raises:
        MalformedReplyError: Not JSON, nothing chosen, a number that no note has, or notes of too few documents.
    """
    num_notes = len(sources)
    value = _json_field(text, "notes")
    if not isinstance(value, list) or not all(type(number) is int for number in value):
        raise MalformedReplyError("selection is no list of numbers")
    chosen = sorted({number - 1 for number in value})
    if not chosen:
        raise MalformedReplyError("selection is empty")
    if chosen[0] < 0 or chosen[-1] >= num_notes:
        raise MalformedReplyError("selection names no such note")
    if len(frozenset().union(*(sources[position] for position in chosen))) < min_documents:
        raise MalformedReplyError("selection of too few documents")
    return chosen


def parse_summary(text: str, was_cut: bool) -> str | None:
    """A chunk's summary, or None where nothing was relevant.

    Raises:
        MalformedReplyError: Empty.
    """
    summary = text.strip()
    if says_nothing_relevant(summary):
        return None
    return parse_prose(summary, was_cut)


def parse_answer(text: str, was_cut: bool) -> str:
    """The answer in a reply.

    Raises:
        MalformedReplyError: Empty, cut before its first sentence ended, or it speaks of its notes, which its reader
            will never see. A sentence is never taken out: those after it may need its subject.
    """
    answer = parse_prose(text, was_cut)
    if label := _ANSWER_LABEL.match(answer):
        answer = parse_prose(answer[label.end() :], was_cut=False)
    if speaks_of_notes(answer):
        raise MalformedReplyError("answer speaks of its notes")
    return answer


JUDGE_SCHEMA = {
    "type": "object",
    "properties": {
        name: {"type": "integer", "minimum": 1, "maximum": 5} for name in ("relevance", "correctness")
    },
    "required": ["relevance", "correctness"],
    "additionalProperties": False,
}
"""JSON schema of a judge's reply."""


def parse_judgement(text: str) -> tuple[int, int]:
    """Relevance and correctness in a judge's reply.

    Raises:
        MalformedReplyError: Not JSON, or no grades from 1 to 5.
    """
    grades = (_json_field(text, "relevance"), _json_field(text, "correctness"))
    if not all(type(grade) is int and 1 <= grade <= 5 for grade in grades):
        raise MalformedReplyError("judgement without grades")
    return grades


def parse_prose(text: str, was_cut: bool) -> str:
    """Prose as it stands; when the length limit cut it, its complete sentences.

    Raises:
        MalformedReplyError: Empty, or cut before the first sentence ended.
    """
    prose = text.strip()
    if was_cut:
        prose = whole_sentences(prose)
    if not prose:
        raise MalformedReplyError("cut before a sentence ended" if was_cut else "empty reply")
    return prose


def _json_field(text: str, name: str) -> Any:
    fenced = _FENCE.fullmatch(text.strip())
    try:
        value = json.loads(fenced["content"] if fenced else text)
    except (ValueError, RecursionError) as error:
        raise MalformedReplyError("not JSON") from error
    if not isinstance(value, dict) or name not in value:
        raise MalformedReplyError(f"JSON without {name}")
    return value[name]
