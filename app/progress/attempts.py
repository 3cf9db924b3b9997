"""Attempts at a run's steps, recorded in the run's folder: what is running, how long it took, and how it ended.

RUN/attempts/STARTED-STEP.json is one attempt. Its writer renews it while it works, so that one which was killed is told
from one which is busy, and its time is known up to the last sign of life.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Literal

from app.faults import UserError, one_line, user_error_in
from app.secrets import mask
from app.storage import Folder

ATTEMPTS_DIR = "attempts"
MAX_LINE_CHARS = 300

Report = Callable[[str], None]
"""Takes one line for the person who watches."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One start of one step."""

    step: str
    """Name of the step, for example `synthesize` or `train 256k`."""
    started_sec: float
    """Since 1970, like the next."""
    seen_sec: float
    """Last sign of life, or the end."""
    interval_sec: float
    """Between signs of life."""
    outcome: Literal["running", "done", "failed"] = "running"
    line: str = ""
    """The last one that it reported, or its error."""

    @property
    def duration_sec(self) -> float:
        return self.seen_sec - self.started_sec

    def is_alive(self, now_sec: float) -> bool:
        """Whether the attempt is still running, according to the folder: after three missed signs of life it counts as
        killed.
        """
        return self.outcome == "running" and now_sec - self.seen_sec < 3 * self.interval_sec


@contextlib.contextmanager
def attempt(run: Folder, step: str, interval_sec: float, report: Report) -> Iterator[Report]:
    """Record the block as an attempt at a step.

    Args:
        run: The run's folder.
        step: What it is called.
        interval_sec: Between signs of life.
        report: Takes the lines.

    Yields:
        The same as `report`, which also keeps the last line for the record.
    """
    started_sec = time.time()
    now = Attempt(step, started_sec, started_sec, interval_sec)
    folder, name = run / ATTEMPTS_DIR, f"{started_sec:.3f}-{step.replace(' ', '-')}.json"
    lock = threading.Lock()

    def write(**changes: object) -> None:
        nonlocal now
        with lock:
            now = replace(now, seen_sec=time.time(), **changes)  # type: ignore[arg-type]
            folder.write_json(name, asdict(now))

    def keep_line(line: str) -> None:
        nonlocal now
        if lines := [each.strip() for each in line.splitlines() if each.strip()]:
            with lock:
                now = replace(now, line=_writable(lines[-1]))
        report(line)

    write()
    try:
        with renewed(write, interval_sec):
            yield keep_line
    except BaseException as error:
        reason = one_line(user_error_in(error) or error) or type(error).__name__
        # A storage that is away must not hide why.
        with contextlib.suppress(OSError):
            write(outcome="failed", line=_writable(reason))
        raise
    write(outcome="done")


@contextlib.contextmanager
def renewed(write: Callable[[], None], interval_sec: float) -> Iterator[None]:
    """Call `write` regularly, in another thread, as long as the block runs: its sign of life."""
    ended = threading.Event()

    def keep_alive() -> None:
        while not ended.wait(interval_sec):
            # A storage that is away for a moment must not end the work.
            with contextlib.suppress(OSError):
                write()

    thread = threading.Thread(target=keep_alive, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _writable(line: str) -> str:
    """Text shortened, without secrets and without characters that UTF-8 cannot encode, as in some file names."""
    return mask(line)[:MAX_LINE_CHARS].encode("utf-8", "replace").decode("utf-8")


def read_attempts(run: Folder) -> list[Attempt]:
    """All attempts of a run, in the order of their start."""
    folder = run / ATTEMPTS_DIR
    found = []
    for name in folder.list_names(".json"):
        try:
            found.append(Attempt(**folder.read_json(name)))
        except TypeError as error:
            raise UserError(f"{folder.uri}/{name}: is no record of an attempt; delete it") from error
    return sorted(found, key=lambda each: each.started_sec)


def seconds_by_step(attempts: list[Attempt]) -> dict[str, float]:
    """Step → the time of all its attempts, in the order of the first ones."""
    seconds: dict[str, float] = {}
    for each in attempts:
        seconds[each.step] = seconds.get(each.step, 0.0) + each.duration_sec
    return seconds
