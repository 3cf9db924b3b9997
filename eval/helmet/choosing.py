"""Which rows of HELMET's files are asked, and which examples stand before them: drawn as its own code draws them.

HELMET draws with `random` and `datasets.Dataset.shuffle`, seeded with 42 or with a hash of the question. So it is done
here, without the library: its shuffle is a permutation of numpy's default generator.
"""

import hashlib
import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from eval.helmet.definitions import Definition, Kind
from eval.helmet.rows import Rows, field_of

SEED = 42
NUM_DEMOS = 2


def key_name(task: Definition, rows: Rows) -> str:
    """The field that a question is known by, in all of its rows and in its examples."""
    names = ("qid",) if task.kind is Kind.RANKING else ("id", "question")
    return next((name for name in names if name in rows.row(0)), names[-1])


def chosen_rows(task: Definition, rows: Rows, num_samples: int) -> dict[int, Any]:
    """Numbers of the rows that are asked, in their order, with the keys of their questions.

    Args:
        task: The task.
        rows: Of its file of a length.
        num_samples: As many questions, which may have several rows each; all rows of a needle are questions.
    """
    if task.kind in (Kind.NEEDLE, Kind.VALUE):
        return {number: number for number in shuffled(len(rows), SEED)[:num_samples]}
    name = key_name(task, rows)
    keys = {
        number: field_of(row, name) for number in range(len(rows)) if _is_asked(task, row := rows.row(number))
    }
    different = sorted(set(keys.values()))
    wanted = set(random.Random(SEED).sample(different, min(num_samples, len(different))))
    return {number: key for number, key in keys.items() if key in wanted}


class Demos:
    """The examples of a task: of other questions, each once.

    Args:
        task: The task.
        rows: Of its file of examples.
        name: The field that questions are known by.
        asked: Keys of the rows that are asked, one for each.
    """

    def __init__(self, task: Definition, rows: Rows, name: str, asked: Sequence[Any]) -> None:
        self._name = name
        self._all = [row for number in range(len(rows)) if _is_asked(task, row := rows.row(number))]
        if task.kind is Kind.RANKING and len(self._all) > 2 * len(asked):
            keys = set(asked)
            self._all = [row for row in self._all if field_of(row, name) not in keys]
        # These are the tasks whose questions come from where the examples do.
        self._may_hold_question = task.kind is Kind.RANKING or task.max_popularity is not None

    def of(self, key: Any) -> list[dict[str, Any]]:
        """The examples before a question, in the order in which they were drawn."""
        others = self._all
        if self._may_hold_question:
            others = [row for row in others if field_of(row, self._name) != key]
        seed = int(hashlib.sha256(str(key).encode("utf-8")).hexdigest(), 16) % 2**31
        found: dict[Any, dict[str, Any]] = {}
        for number in shuffled(len(others), seed):
            found.setdefault(field_of(others[number], self._name), others[number])
            if len(found) == NUM_DEMOS:
                break
        return list(found.values())


def shuffled(num_rows: int, seed: int) -> list[int]:
    """Row numbers as `datasets.Dataset.shuffle(seed)` puts them."""
    order: list[int] = np.random.default_rng(seed).permutation(num_rows).tolist()
    return order


def _is_asked(task: Definition, row: dict[str, Any]) -> bool:
    """Whether a row is of the task: some questions are too well known."""
    return task.max_popularity is None or math.log10(field_of(row, "s_pop")) < task.max_popularity
