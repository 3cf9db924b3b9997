"""Runs plain functions over many items as Ray Data tasks, one per item, with regular progress lines."""

import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

import ray
import ray.data
from ray.data import DataContext

from app.cluster.faults import sent_to_driver, users_faults
from app.progress.attempts import Report
from app.quantities import duration

Item = TypeVar("Item")
Result = TypeVar("Result")

_PASSING_ERRORS = ["storage failed", "AWS Error", "google::cloud::Status"]
_NUM_RETRIES = 3


def run_tasks(
    items: Sequence[Item],
    function: Callable[[Item], Result],
    title: str,
    report: Report,
    log_interval_sec: float,
) -> Iterator[Result]:
    """What `function` makes of each item, in any order, as it is done.

    A task is started anew when its node is lost, and a few times when the storage fails; another error ends the job.

    Args:
        items: What to work on; all of them are held by the driver.
        function: Runs on any node; safe to repeat.
        title: What is done to the items, for the lines of progress.
        report: Takes those lines.
        log_interval_sec: Least time between two of them.

    Raises:
        UserError: A task has raised it.
        RayError: A task has failed otherwise.
    """
    if not items:
        return
    started = last = time.monotonic()
    with DataContext.current(quiet_context()), users_faults():
        # Pickled here, as Arrow's attempt to make columns of our objects ends in a warning.
        rows = [{"item": pickle.dumps(item)} for item in items]
        dataset = ray.data.from_items(rows, override_num_blocks=len(rows)).map(partial(_work_on, function))
        for num_done, row in enumerate(dataset.iter_rows(), start=1):
            yield pickle.loads(row["result"])  # noqa: S301 (our own, of a moment ago)
            now = time.monotonic()
            if now - last >= log_interval_sec and num_done < len(items):
                last = now
                left_sec = (now - started) / num_done * (len(items) - num_done)
                report(f"{title}: {num_done:,} of {len(items):,}, {duration(left_sec)} left")


def fetch(reference: "ray.ObjectRef[Any]") -> Any:
    """A task's result.

    Raises:
        UserError: The task has raised it.
        RayError: The task has failed otherwise.
    """
    with users_faults():
        return ray.get(reference)


def _work_on(function: Callable[[Any], Any], row: dict[str, Any]) -> dict[str, Any]:
    with sent_to_driver():
        return {"result": pickle.dumps(function(pickle.loads(row["item"])))}  # noqa: S301 (packed by `run_tasks`)


def quiet_context() -> DataContext:
    """The caller's settings without bars, as the lines of progress say the same; what may pass is tried again."""
    context = DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.retried_map_errors = _PASSING_ERRORS
    context.max_map_retries = _NUM_RETRIES
    context.raise_original_map_exception = True
    return context
