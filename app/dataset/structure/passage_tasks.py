"""The tasks `order`, `missing` and `repeats`: where passages stand, which one is gone, which documents share one."""

from collections.abc import Sequence

from app.dataset.structure.material import (
    Material,
    Unit,
    listed,
    opening,
    passages_at,
    replace_range,
    squeezed,
)
from app.schema import AnswerKey, AnswerType, CheckerName, ContextDocument, Draft, TaskData, passage_id_of
from app.text.sentences import sentence_borders
from app.tokens import Tokenizer

OPENING_WORDS = 10
MIN_WORDS, MAX_WORDS = 12, 90
"""Of a passage that is quoted whole."""
MAX_ORDERED_WORDS = 400
LEAST_ORDERED, MOST_ORDERED = 4, 7
NUM_CHOICES = 4
MOST_REPEATS = 3
MAX_TRIES = 30
"""Passages that are looked at before a task gives up."""
REMOVED_MARK = "[A passage was removed here.]"


class Order:
    """Beginnings of passages from all depths, in shuffled order, to be put in the order of the documents."""

    num_documents = 3
    question_tokens = 165

    def make(self, material: Material) -> Draft | str:
        """See `TaskMaker`."""
        rng, text = material.rng, material.all_text()
        units = [
            unit
            for rank in range(material.num_whole)
            for unit in material.units(rank, OPENING_WORDS + 2, MAX_ORDERED_WORDS)
        ]
        wanted = rng.randint(LEAST_ORDERED, MOST_ORDERED)
        chosen: list[Unit] = []
        for stratum in range(wanted):
            some = units[len(units) * stratum // wanted : len(units) * (stratum + 1) // wanted]
            some = rng.sample(some, min(len(some), MAX_TRIES))
            alone = (unit for unit in some if text.count(opening(unit, OPENING_WORDS)) == 1)
            if unit := next(alone, None):
                chosen.append(unit)
        if len(chosen) < LEAST_ORDERED:
            return "too few passages"
        shuffled = list(range(len(chosen)))
        while shuffled == sorted(shuffled):
            rng.shuffle(shuffled)
        key = [shuffled.index(place) + 1 for place in range(len(chosen))]
        beginnings = [f"{opening(chosen[place], OPENING_WORDS)} …" for place in shuffled]
        return _draft(
            material,
            material.documents,
            f"These are the beginnings of {len(chosen)} passages of the documents above, in shuffled order:\n\n"
            f"{listed(beginnings)}\n\nPut them in the order in which they stand in the documents. Answer with their "
            f"numbers alone, separated by commas.",
            key,
            "ordered_list",
            "ordered_list",
            [name for unit in chosen for name in _passages_of(material, unit)],
            len({unit.rank for unit in chosen}),
        )


class Missing:
    """One passage is taken out; several are shown, of which all others still stand in the documents."""

    num_documents = 3
    question_tokens = 150

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def make(self, material: Material) -> Draft | str:
        """See `TaskMaker`."""
        rng, text = material.rng, material.all_text()
        if REMOVED_MARK in text:
            return "mark in a document"
        alone = self._choose(material, text)
        if not alone:
            return "too few passages"
        removed, rank = alone[0], alone[0].rank
        choices = rng.sample(alone, len(alone))
        documents = list(material.documents)
        mark_id = passage_id_of(material.seed.seed_id, 0)
        documents[rank] = replace_range(
            documents[rank],
            removed.start_char,
            removed.end_char,
            REMOVED_MARK,
            mark_id,
            self._tokenizer.count(REMOVED_MARK),
        )
        return _draft(
            material,
            documents,
            f"One passage was taken out of the documents above, where it says “{REMOVED_MARK}”. Which of these is "
            f"it?\n\n{listed([squeezed(unit.text) for unit in choices])}\n\nAnswer with its number alone.",
            choices.index(removed) + 1,
            "number",
            "number",
            [mark_id],
            1,
        )

    def _choose(self, material: Material, text: str) -> list[Unit]:
        """Passages that stand in the context once, of one document if it has enough; empty if there are too few."""
        rng = material.rng
        ranks = rng.sample(range(material.num_whole), material.num_whole)
        by_document = [material.units(rank, MIN_WORDS, MAX_WORDS) for rank in ranks]
        for units in (*by_document, [unit for some in by_document for unit in some]):
            some = rng.sample(units, min(len(units), MAX_TRIES))
            alone = [unit for unit in some if text.count(squeezed(unit.text)) == 1][:NUM_CHOICES]
            if len(alone) == NUM_CHOICES and not _overlap(alone):
                return alone
        return []


class Repeats:
    """One passage stands in several documents."""

    num_documents = 6
    question_tokens = 140

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def make(self, material: Material) -> Draft | str:
        """See `TaskMaker`."""
        rng, text = material.rng, material.all_text()
        if material.num_whole < 2:
            return "too few documents"
        unit = self._find(material, text)
        if unit is None:
            return "too few passages"
        others = [rank for rank in range(material.num_whole) if rank != unit.rank]
        chosen = rng.sample(others, rng.randint(1, min(MOST_REPEATS, len(others))))
        documents = list(material.documents)
        evidence = _passages_of(material, unit)
        for number, rank in enumerate(chosen):
            whole = material.whole_text(rank)
            char = rng.choice([0, *sentence_borders(whole).tolist()])
            copy = unit.text + ("\n\n" if whole[:char].endswith("\n\n") else " ")
            copy_id = passage_id_of(material.seed.seed_id, number)
            evidence.append(copy_id)
            documents[rank] = replace_range(
                documents[rank], char, char, copy, copy_id, self._tokenizer.count(copy)
            )
        return _draft(
            material,
            documents,
            f"The passage that begins with these words stands in several of the documents above:\n\n"
            f"“{opening(unit, OPENING_WORDS)} …”\n\nIn which of them? Answer with the numbers of the documents, "
            f"separated by commas.",
            sorted(rank + 1 for rank in (unit.rank, *chosen)),
            "set",
            "set",
            evidence,
            1 + len(chosen),
        )

    def _find(self, material: Material, text: str) -> Unit | None:
        for rank in material.rng.sample(range(material.num_whole), material.num_whole):
            units = material.units(rank, MIN_WORDS, MAX_WORDS)
            for unit in material.rng.sample(units, min(len(units), MAX_TRIES)):
                if text.count(opening(unit, OPENING_WORDS)) == 1:
                    return unit
        return None


def _overlap(units: Sequence[Unit]) -> bool:
    """Whether one of some passages holds another's words."""
    texts = [squeezed(unit.text) for unit in units]
    return any(one in other for one in texts for other in texts if one is not other)


def _passages_of(material: Material, unit: Unit) -> list[str]:
    return passages_at(material.documents[unit.rank], unit.start_char, unit.end_char)


def _draft(
    material: Material,
    documents: list[ContextDocument],
    instruction: str,
    key: AnswerKey,
    answer_type: AnswerType,
    checker: CheckerName,
    evidence_ids: list[str],
    num_needed_documents: int,
) -> Draft:
    answer = ", ".join(map(str, key)) if isinstance(key, list) else str(key)
    return Draft(
        seed=material.seed,
        instruction=instruction,
        answer=answer,
        documents=documents,
        evidence_ids=list(dict.fromkeys(evidence_ids)),
        trimmed_ids=sorted(material.trimmed_ids),
        task_data=TaskData(key, answer_type, checker, 1, num_needed_documents),
    )
