"""The tasks `count` and `mentions`: in how many documents a word stands, how often, where first and where last."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from app.dataset.structure.material import Material, passages_at
from app.schema import AnswerKey, Draft, TaskData

MIN_TERM_CHARS, MAX_TERM_CHARS = 5, 24
MAX_TERMS = 80
"""Words that are looked at before a task gives up."""
MOST_DOCUMENTS = 9
LEAST_TOTAL, MOST_TOTAL = 3, 12
_TERM = re.compile(rf"[^\W\d_]{{{MIN_TERM_CHARS},{MAX_TERM_CHARS}}}")
_ALONE = r"(?<![\w'’-]){}(?![\w'’-])"
_SPELLING = "Only this spelling counts."


@dataclass(frozen=True, slots=True)
class Term:
    """A word and where it stands, wherever it stands: no other form of it is in the context."""

    word: str
    counts: dict[int, int]
    """Rank of each document that has it → how often."""

    @property
    def total(self) -> int:
        return sum(self.counts.values())


class Count:
    """In how many documents a word stands, how often in all, or in which document most often."""

    num_documents = 6
    question_tokens = 45

    def make(self, material: Material) -> Draft | str:
        """See `TaskMaker`."""
        questions: list[tuple[Callable[[Term], bool], Callable[[Term], int], str]] = [
            (
                lambda term: 2 <= len(term.counts) <= min(MOST_DOCUMENTS, len(material.documents) - 1),
                lambda term: len(term.counts),
                "In how many of the documents above does the word “{word}” stand?",
            ),
            (
                lambda term: len(term.counts) >= 2 and LEAST_TOTAL <= term.total <= MOST_TOTAL,
                lambda term: term.total,
                "How often does the word “{word}” stand in the documents above, all together?",
            ),
            (
                _has_one_most,
                lambda term: max(term.counts, key=lambda rank: term.counts[rank]) + 1,
                "In which of the documents above does the word “{word}” stand most often?",
            ),
        ]
        for fits, answer, question in material.rng.sample(questions, len(questions)):
            term = next(filter(fits, terms_of(material)), None)
            if term is not None:
                instruction = f"{question.format(word=term.word)} {_SPELLING} Answer with the number alone."
                return _draft(material, term, instruction, answer(term))
        return "no fitting word"


class Mentions:
    """The first and the last document that mention a word."""

    num_documents = 6
    question_tokens = 67

    def make(self, material: Material) -> Draft | str:
        """See `TaskMaker`."""
        term = next((term for term in terms_of(material) if len(term.counts) >= 2), None)
        if term is None:
            return "no fitting word"
        return _draft(
            material,
            term,
            f"Which of the documents above is the first that has the word “{term.word}”, and which is the last? "
            f"{_SPELLING} Answer with the two numbers, the first document's before the last one's, separated by a "
            f"comma.",
            [min(term.counts) + 1, max(term.counts) + 1],
        )


def terms_of(material: Material) -> Iterator[Term]:
    """Words of several documents in random order, of which no other form stands in the context.

    Where a word is part of another, written otherwise, in a title, or in a passage that may be cut, people and programs
    could count differently: such words are left out.
    """
    texts = [material.whole_text(rank) for rank in range(material.num_whole)]
    counts = [Counter(_TERM.findall(text)) for text in texts]
    num_documents = Counter(word for each in counts for word in each)
    words = sorted(word for word, number in num_documents.items() if number >= 2)
    lowered = "\n".join(f"{document.title}\n{document.text}" for document in material.documents).lower()
    for word in material.rng.sample(words, min(len(words), MAX_TERMS)):
        alone = re.compile(_ALONE.format(re.escape(word)))
        found = {rank: len(alone.findall(texts[rank])) for rank, each in enumerate(counts) if word in each}
        term = Term(word, {rank: count for rank, count in found.items() if count})
        if term.total == lowered.count(word.lower()):
            yield term


def _has_one_most(term: Term) -> bool:
    counts = sorted(term.counts.values(), reverse=True)
    return len(counts) >= 2 and counts[0] > counts[1]


def _draft(material: Material, term: Term, instruction: str, key: AnswerKey) -> Draft:
    alone = re.compile(_ALONE.format(re.escape(term.word)))
    evidence = [
        name
        for rank in term.counts
        for found in alone.finditer(material.whole_text(rank))
        for name in passages_at(material.documents[rank], found.start(), found.end())
    ]
    is_list = isinstance(key, list)
    return Draft(
        seed=material.seed,
        instruction=instruction,
        answer=", ".join(map(str, key)) if isinstance(key, list) else str(key),
        documents=material.documents,
        evidence_ids=list(dict.fromkeys(evidence)),
        trimmed_ids=sorted(material.trimmed_ids),
        task_data=TaskData(
            key,
            "ordered_list" if is_list else "number",
            "ordered_list" if is_list else "number",
            num_hops=1,
            num_needed_documents=material.num_whole,
        ),
    )
