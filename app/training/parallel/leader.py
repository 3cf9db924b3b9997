"""Runs work in one process for a group. The others wait for it and share its errors, so that none hangs."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch.distributed as dist

from app.faults import UserError

T = TypeVar("T")


def ask_leader(group: dist.ProcessGroup, function: Callable[[], T]) -> T:
    """Call `function` on the group's first process and return its small, picklable result on all. All must call this.

    Args:
        group: Over gloo, as the others may have to wait for long (`Workers.host_group`).
        function: Called on the leader only.

    Raises:
        UserError: That of the leader, on all.
        Exception: Any other of the leader; on the others a RuntimeError that tells of it.
    """
    answer: list[Any] = [None, None]
    error: Exception | None = None
    if dist.get_rank(group) == 0:
        try:
            answer[0] = function()
        except Exception as caught:
            # Not every error can be pickled, its text can.
            is_users = isinstance(caught, UserError)
            error, answer[1] = caught, caught if is_users else f"{type(caught).__name__}: {caught}"
    dist.broadcast_object_list(answer, group=group, group_src=0)
    if error is not None:
        raise error
    if isinstance(answer[1], UserError):
        raise answer[1]
    if answer[1] is not None:
        raise RuntimeError(f"The leading worker failed: {answer[1]}")
    value: T = answer[0]
    return value


def run_on_leader(group: dist.ProcessGroup, function: Callable[[], T]) -> T | None:
    """Call `function` on the leader and return its result there only. Its errors are raised everywhere."""
    kept: list[T] = []
    ask_leader(group, lambda: kept.append(function()))
    return kept[0] if kept else None
