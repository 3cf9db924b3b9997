"""A core that engines compute on and nothing else does, as on a machine with a GPU."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from app.faults import UserError

_ENGINE_TITLE = "VLLM::Worker"
"""What vLLM calls the process that computes; scheduling and HTTP have processes of their own, which are the host's."""
_SEC_BETWEEN_LOOKS = 0.5


@contextmanager
def reserved_core(core: int | None) -> Iterator[None]:
    """Keep a core for the engines' workers among the processes that are started meanwhile; None reserves nothing.

    Raises:
        UserError: This process may not run on that core, or on no other.
    """
    if core is None:
        yield
        return
    allowed = os.sched_getaffinity(0)
    if core not in allowed or len(allowed) < 2:
        raise UserError(f"engine-core {core}: give one of the cores {sorted(allowed)}, and leave another one")
    over = threading.Event()
    mover = threading.Thread(target=_move_workers, args=(core, over), daemon=True)
    # Whatever is started from here on inherits the others.
    os.sched_setaffinity(0, allowed - {core})
    mover.start()
    try:
        yield
    finally:
        over.set()
        mover.join()
        os.sched_setaffinity(0, allowed)


def _move_workers(core: int, over: threading.Event) -> None:
    while not over.wait(_SEC_BETWEEN_LOOKS):
        for process in psutil.Process().children(recursive=True):
            # One that has just ended is nobody's loss.
            with suppress(psutil.Error, ProcessLookupError):
                if "".join(process.cmdline()).startswith(_ENGINE_TITLE):
                    for thread in process.threads():
                        os.sched_setaffinity(thread.id, {core})
