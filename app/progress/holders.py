"""Who works in a run's folder: two commands that write the same part of it must not meet.

RUN/holder-STARTED-ID.json is one command at work. Its writer renews it and removes it at its end. There is no atomic
"create if absent" on every object store, so each command first writes its own file and then looks for others: of two
that start together at least one sees the other. The one that began later gives way.
"""

import contextlib
import os
import socket
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from app.faults import UserError
from app.progress.attempts import Report, renewed
from app.quantities import duration
from app.storage import Folder

SIGN_SEC = 15.0
DEAD_SEC = 4 * SIGN_SEC
"""Without a sign of life for so long, a command on another machine was killed."""
GIVE_WAY_SEC = 2.0
"""Within so long a command that began later has gone, if it saw the other."""
_PREFIX = "holder-"


@dataclass(frozen=True, slots=True)
class Holder:
    """A command at work in a run's folder."""

    verb: str
    parts: list[str]
    """Of the run, those that it writes."""
    host: str
    namespace: str
    """In which the process id counts: containers may share a host's name."""
    pid: int
    process_start: str
    """Tells a process from a later one with its id."""
    started_sec: float
    """Since 1970, like the next."""
    seen_sec: float
    """Last sign of life."""

    def is_alive(self, now_sec: float) -> bool:
        """Whether it still works: on this machine its process tells, elsewhere its signs of life."""
        if (self.host, self.namespace) == (socket.gethostname(), _namespace()) and self.namespace:
            return _process_start(self.pid) == self.process_start
        return now_sec - self.seen_sec < DEAD_SEC

    def describe(self) -> str:
        since = datetime.fromtimestamp(self.started_sec, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return f"`{self.verb}` on {self.host}, pid {self.pid}, since {since}"


@contextlib.contextmanager
def held(run: Folder, verb: str, parts: Sequence[str], report: Report) -> Iterator[None]:
    """Be the only command that writes these parts of a run inside the block.

    Args:
        run: The run's folder.
        verb: The command.
        parts: Of the run, those that it writes; none: nobody is in its way.
        report: Takes a line on a dead command that is replaced.

    Raises:
        UserError: another command that is alive writes one of them.
    """
    if not parts:
        yield
        return
    now = time.time()
    own = Holder(
        verb,
        list(parts),
        socket.gethostname(),
        _namespace(),
        os.getpid(),
        _process_start(os.getpid()),
        now,
        now,
    )
    name = f"{_PREFIX}{now:.6f}-{uuid.uuid4().hex[:8]}.json"

    def write() -> None:
        run.write_json(name, asdict(replace(own, seen_sec=time.time())))

    write()
    try:
        _give_way(run, name, own, report)
        with renewed(write, SIGN_SEC):
            yield
    finally:
        with contextlib.suppress(OSError):
            run.filesystem.delete_file(run.file(name))


def _give_way(run: Folder, own_name: str, own: Holder, report: Report) -> None:
    deadline = time.monotonic() + GIVE_WAY_SEC
    while others := _others(run, own_name, own, report):
        name, other = others[0]
        # Names begin with the time: a later one that has seen this one goes by itself.
        if name < own_name or time.monotonic() > deadline:
            raise UserError(
                f"run_dir: {run.uri} is being written by {other.describe()}, last sign of life "
                f"{duration(max(0.0, time.time() - other.seen_sec))} ago; wait for it, stop it, or give another run_dir"
            )
        time.sleep(GIVE_WAY_SEC / 10)


def _others(run: Folder, own_name: str, own: Holder, report: Report) -> list[tuple[str, Holder]]:
    """Living commands in the way of this one, the oldest first; what dead ones have left goes."""
    found = []
    for name in run.list_names(".json"):
        if not name.startswith(_PREFIX) or name == own_name:
            continue
        try:
            other = Holder(**run.read_json(name))
        except FileNotFoundError:
            # It has ended meanwhile.
            continue
        if not other.is_alive(time.time()):
            report(f"took over from {other.describe()}, which is gone")
            with contextlib.suppress(FileNotFoundError):
                run.filesystem.delete_file(run.file(name))
        elif set(other.parts) & set(own.parts):
            found.append((name, other))
    return found


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")  # noqa: PTH115 (it is no path)
    except OSError:
        return ""


def _process_start(pid: int) -> str:
    """When a process was started, in ticks since the machine was; empty: there is none."""
    try:
        # The name in brackets before may hold anything.
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
