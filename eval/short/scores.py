"""Scores of short tasks, and their differences to the first model."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from app.storage import Folder
from eval.csv_rows import render_csv

_STDERR = "_stderr"


@dataclass(frozen=True, slots=True)
class TaskScore:
    """One metric of a task or group, as lm-eval gives it."""

    task: str
    metric: str
    filter: str
    """Name of the filter applied to the replies, if lm-eval scores them in several ways."""
    score: float
    stderr: float | None
    """None if lm-eval has none for the metric, or if there is only one question."""
    num_samples: int
    group: str | None = None
    """Group that the task belongs to, if the group has its own score."""


@dataclass(frozen=True, slots=True)
class ShortScores:
    """Scores of one model, in the order of the tasks."""

    model: str
    scores: list[TaskScore]
    remarks: list[str] = field(default_factory=list)
    """What must be known of them."""

    @property
    def headlines(self) -> list[TaskScore]:
        """One score per task, by its first metric; a group with its own score replaces its tasks."""
        firsts: dict[str, TaskScore] = {}
        for score in self.scores:
            if score.group is None:
                firsts.setdefault(score.task, score)
        return list(firsts.values())


@dataclass(frozen=True, slots=True)
class ComparedScore:
    """One line of the table."""

    model: str
    task: str
    metric: str
    filter: str
    score: float
    stderr: float | None
    num_samples: int
    difference_points: float | None
    """A hundred times the difference to the first model's score; None if that model has no score."""
    difference_stderr_points: float | None
    """Standard error for independent questions; for the same questions it is rather too large."""


def read_scores(results: dict[str, Any]) -> list[TaskScore]:
    """The scores in what `lm_eval.simple_evaluate` returns, groups ahead of their tasks.

    Args:
        results: The `results` of lm-eval: by task and group the metrics, `NAME,FILTER` and `NAME_stderr,FILTER`.
    """
    scores = []
    groups = results.get("group_subtasks", {})
    with_scores = [name for name, entry in results["results"].items() if any("," in key for key in entry)]
    group_of = {task: name for name, parts in groups.items() if name in with_scores for task in parts}
    for task, entry in results["results"].items():
        for key, value in entry.items():
            metric, comma, filter_name = key.partition(",")
            if not comma or metric.endswith(_STDERR) or not isinstance(value, int | float):
                continue
            stderr = entry.get(f"{metric}{_STDERR},{filter_name}")
            is_number = isinstance(stderr, int | float) and math.isfinite(stderr)
            counts = entry.get("sample_count", {})
            scores.append(
                TaskScore(
                    task=task,
                    metric=metric,
                    filter=filter_name,
                    score=float(value),
                    stderr=float(stderr) if is_number else None,
                    num_samples=int(counts.get(key, entry.get("sample_len", 0))),
                    group=group_of.get(task),
                )
            )
    return sorted(scores, key=lambda score: score.task not in groups)


def compare(models: Sequence[ShortScores]) -> list[ComparedScore]:
    """All scores, each task's models side by side, against the first model."""
    if not models:
        return []
    base = {_key(score): score for score in models[0].scores}
    order = list(dict.fromkeys(_key(score) for model in models for score in model.scores))
    of_model = {(model.model, _key(score)): score for model in models for score in model.scores}
    return [
        _compared(model.model, of_model[model.model, key], base.get(key))
        for key in order
        for model in models
        if (model.model, key) in of_model
    ]


def write_comparison(folder: Folder, compared: Sequence[ComparedScore], name: str = "scores.csv") -> None:
    """Write the table as CSV; what is not known stays empty."""
    folder.write_bytes(name, render_csv(map(asdict, compared)).encode())


def _compared(model: str, score: TaskScore, base: TaskScore | None) -> ComparedScore:
    is_base = base is score
    stderr = None
    if base is not None and not is_base and score.stderr is not None and base.stderr is not None:
        stderr = 100 * math.hypot(score.stderr, base.stderr)
    return ComparedScore(
        model=model,
        task=score.task,
        metric=score.metric,
        filter=score.filter,
        score=score.score,
        stderr=score.stderr,
        num_samples=score.num_samples,
        difference_points=None if base is None or is_base else 100 * (score.score - base.score),
        difference_stderr_points=stderr,
    )


def _key(score: TaskScore) -> tuple[str, str, str]:
    return score.task, score.metric, score.filter
