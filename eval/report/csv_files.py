"""The report's numbers as CSV."""

from eval.csv_rows import Field, render_csv
from eval.report.contents import NiahResult, RecallResult, RecallScore, RulerResult, ShortResult, TasksResult


def niah_csv(results: list[NiahResult]) -> str:
    return render_csv(
        {
            "model": result.model,
            "length_tokens": length,
            "depth_percent": depth,
            "placed_percent": result.placed_percent[y][x],
            "score_percent": result.scores[y][x],
            "num_copies": result.num_copies.get(length, 1),
        }
        for result in results
        for x, length in enumerate(result.lengths_tokens)
        for y, depth in enumerate(result.depths_percent)
    )


def ruler_tasks_csv(results: list[RulerResult]) -> str:
    return render_csv(
        {
            "model": result.model,
            "task": task,
            "length_tokens": length,
            "score_percent": scores.get(length),
            "low_percent": low,
            "high_percent": high,
            "num_samples": result.num_samples,
        }
        for result in results
        for task, scores in result.scores.items()
        for length in result.lengths_tokens
        for low, high in [result.task_intervals.get(task, {}).get(length, (None, None))]
    )


def ruler_means_csv(results: list[RulerResult]) -> str:
    return render_csv(
        {
            "model": result.model,
            "length_tokens": length,
            "mean_percent": result.means.get(length),
            "low_percent": low,
            "high_percent": high,
            "num_copies": result.num_copies.get(length, 1),
        }
        for result in results
        for length in result.lengths_tokens
        for low, high in [result.intervals.get(length, (None, None))]
    )


def short_csv(results: list[ShortResult]) -> str:
    return render_csv(
        {
            "model": result.model,
            "task": score.task,
            "metric": score.metric,
            "score_percent": score.score,
            "standard_error": score.standard_error,
            "num_samples": score.num_samples,
        }
        for result in results
        for score in result.scores
    )


def tasks_csv(results: list[TasksResult]) -> str:
    return render_csv(
        {
            "model": result.model,
            "task": score.task,
            "length_tokens": score.length_tokens,
            "score_percent": score.score,
            "low_percent": score.interval[0] if score.interval is not None else None,
            "high_percent": score.interval[1] if score.interval is not None else None,
            "num_samples": score.num_samples,
            "chance_percent": score.chance,
        }
        for result in results
        for score in result.scores
    )


def recall_csv(results: list[RecallResult]) -> str:
    return render_csv(_recall_row(result.model, score) for result in results for score in result.scores)


def _recall_row(model: str, score: RecallScore) -> dict[str, Field]:
    row: dict[str, Field] = {
        "model": model,
        "kind": score.kind,
        "length_tokens": score.length_tokens,
        "num_questions": score.num_questions,
        "true_context_percent": score.true_context,
        "follows_context_percent": score.follows_context,
        "follows_memory_percent": score.follows_memory,
        "follows_both_percent": score.follows_both,
        "closed_book_percent": score.closed_book,
    }
    for name in ("true_context", "follows_context", "follows_memory", "follows_both", "closed_book"):
        low, high = score.intervals.get(name, (None, None))
        row |= {f"{name}_low_percent": low, f"{name}_high_percent": high}
    return row
