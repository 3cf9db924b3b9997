"""What one worker does for all: the others wait for it and share its errors, so that none is left hanging."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch.distributed as dist

from app.training.process_groups import Workers

T = TypeVar("T")


def ask_leader(workers: Workers, function: Callable[[], T]) -> T:
    """What `function` gives on the leader, small and picklable, on every worker; all of them call this.

    Raises:
        Exception: that of the leader; on the others a RuntimeError that tells of it.
    """
    answer: list[Any] = [None, None]
    error: Exception | None = None
    if workers.is_leader:
        try:
            answer[0] = function()
        except Exception as caught:
            # Not every error can be pickled, its text can.
            error, answer[1] = caught, f"{type(caught).__name__}: {caught}"
    dist.broadcast_object_list(answer, group=workers.host_group, group_src=0)
    if error is not None:
        raise error
    if answer[1] is not None:
        raise RuntimeError(f"The leading worker failed: {answer[1]}")
    value: T = answer[0]
    return value


def run_on_leader(workers: Workers, function: Callable[[], T]) -> T | None:
    """What `function` gives on the leader, for the leader alone; its errors are everybody's, as with `ask_leader`."""
    kept: list[T] = []
    ask_leader(workers, lambda: kept.append(function()))
    return kept[0] if kept else None
