"""The report's numbers for programs: one observation a row; a gap is an empty field."""

import csv
from collections.abc import Iterable, Sequence
from io import StringIO

from eval.report.contents import NiahResult, RecallResult, RulerResult, ShortResult

Field = str | int | float | None


def niah_csv(results: list[NiahResult]) -> str:
    columns = ["model", "length_tokens", "depth_percent", "placed_percent", "score_percent", "num_copies"]
    return _csv(
        columns,
        (
            (
                result.model,
                length,
                depth,
                result.placed_percent[y][x],
                result.scores[y][x],
                result.num_copies.get(length, 1),
            )
            for result in results
            for x, length in enumerate(result.lengths_tokens)
            for y, depth in enumerate(result.depths_percent)
        ),
    )


def ruler_tasks_csv(results: list[RulerResult]) -> str:
    return _csv(
        ["model", "task", "length_tokens", "score_percent"],
        (
            (result.model, task, length, scores.get(length))
            for result in results
            for task, scores in result.scores.items()
            for length in result.lengths_tokens
        ),
    )


def ruler_means_csv(results: list[RulerResult]) -> str:
    columns = ["model", "length_tokens", "mean_percent", "low_percent", "high_percent", "num_copies"]
    return _csv(
        columns,
        (
            (
                result.model,
                length,
                result.means.get(length),
                *result.intervals.get(length, (None, None)),
                result.num_copies.get(length, 1),
            )
            for result in results
            for length in result.lengths_tokens
        ),
    )


def short_csv(results: list[ShortResult]) -> str:
    return _csv(
        ["model", "task", "metric", "score_percent", "standard_error", "num_samples"],
        (
            (result.model, score.task, score.metric, score.score, score.standard_error, score.num_samples)
            for result in results
            for score in result.scores
        ),
    )


def recall_csv(results: list[RecallResult]) -> str:
    columns = [
        "model",
        "kind",
        "length_tokens",
        "num_questions",
        "true_context_percent",
        "follows_context_percent",
        "follows_memory_percent",
        "follows_both_percent",
        "closed_book_percent",
    ]
    return _csv(
        columns,
        (
            (
                result.model,
                score.kind,
                score.length_tokens,
                score.num_questions,
                score.true_context,
                score.follows_context,
                score.follows_memory,
                score.follows_both,
                score.closed_book,
            )
            for result in results
            for score in result.scores
        ),
    )


def _csv(columns: list[str], rows: Iterable[Sequence[Field]]) -> str:
    stream = StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_rounded(value) for value in row] for row in rows)
    return stream.getvalue()


def _rounded(value: Field) -> Field:
    return round(value, 4) if isinstance(value, float) else value
