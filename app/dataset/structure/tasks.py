"""All structure tasks by name."""

from app.dataset.structure.material import TaskMaker
from app.dataset.structure.passage_tasks import Missing, Order, Repeats
from app.dataset.structure.recall import Recall
from app.dataset.structure.term_tasks import Count, Mentions
from app.tokens import Tokenizer

STRUCTURE_VERSION = "structure-1"
"""Raised with each change of what the tasks ask; recorded in every example."""


def structure_tasks(tokenizer: Tokenizer) -> dict[str, TaskMaker]:
    """Name, as in `dataset.structure_task_weights` → what makes the task.

    Args:
        tokenizer: The trained model's.
    """
    return {
        "recall": Recall(tokenizer),
        "order": Order(),
        "missing": Missing(tokenizer),
        "repeats": Repeats(tokenizer),
        "count": Count(),
        "mentions": Mentions(),
    }
