"""Waiting for Ray: it says so after a while, and signals are heard where Ray's own code keeps Python from hearing."""

import contextlib
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator

from app.quantities import duration

SAY_SEC = 5.0
"""Until it is said; said again in growing distances."""
HEAR_SEC = 3.0
"""That Python has to act on a signal by itself."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def waiting(title: str) -> Iterator[None]:
    """Say on stderr that the block takes long, and end the process should a signal not end the block.

    Python runs its handlers between two of its own instructions, so never inside of a call that does not return.
    """
    ended = threading.Event()
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False) if is_main else -1
    thread = threading.Thread(target=_watch, args=(title, ended, reading), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        if is_main:
            signal.set_wakeup_fd(before)
        # Wakes the thread.
        writing.close()
        thread.join()
        reading.close()


def _watch(title: str, ended: threading.Event, reading: socket.socket) -> None:
    started, say_sec = time.monotonic(), SAY_SEC
    while not ended.is_set():
        left_sec = max(0.0, started + say_sec - time.monotonic())
        if not select.select([reading], [], [], left_sec)[0]:
            _say(f"{title}: {duration(time.monotonic() - started)} so far")
            say_sec *= 2
            continue
        numbers = [number for number in reading.recv(64) if number in _SIGNALS]
        if numbers and not ended.wait(HEAR_SEC):
            word = "terminated" if numbers[0] == signal.SIGTERM else "interrupted"
            _say(f"longstrap: {word} while {title}; the same command resumes from here")
            os._exit(128 + numbers[0])


def _say(line: str) -> None:
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)
