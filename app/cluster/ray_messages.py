"""Leaves out what Ray prints as an error and is none.

Ray's core writes to the file descriptor of stderr itself and has no setting for it. So another process reads that and
passes on the rest. It outlives this one, so that the last words of a crash are not lost. What Ray's daemons report is
printed on stdout by Ray's own Python code, which has a pattern for what to skip.
"""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator

from ray._private.ray_logging import stdout_deduplicator

HARMLESS_OF_CORE = (
    # Ray Data restarts its actors, and hands them what they run by reference; it holds that as long as they live.
    "has constructor arguments in the object store and max_restarts > 0",
)
"""Parts of the core's lines that are left out."""
HARMLESS_OF_DAEMONS = (
    # Ray Serve ends its controller by a call that the controller does not survive.
    r"Task ServeController\.graceful_shutdown failed.*infinite retries",
)
"""Patterns of the daemons' lines that are left out."""
_FILTER = """
import sys
harmless = [text.encode() for text in sys.argv[1:]]
for line in sys.stdin.buffer:
    if not any(text in line for text in harmless):
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
"""
FLUSH_SEC = 2.0
"""That the other process gets at the end for what is still in the pipe. Ray's daemons may hold it open for longer."""


@contextlib.contextmanager
def without_harmless_errors() -> Iterator[None]:
    """Inside the block, nothing is printed that is among the harmless; nor by processes that this one starts."""
    with _without_those_of_core(), _without_those_of_daemons():
        yield


@contextlib.contextmanager
def _without_those_of_daemons() -> Iterator[None]:
    before = stdout_deduplicator.skip_re
    own = "|".join(HARMLESS_OF_DAEMONS)
    stdout_deduplicator.skip_re = re.compile(f"{own}|{before.pattern}" if before else own)
    try:
        yield
    finally:
        stdout_deduplicator.skip_re = before


@contextlib.contextmanager
def _without_those_of_core() -> Iterator[None]:
    sys.stderr.flush()
    real = os.dup(2)
    reader = subprocess.Popen(
        [sys.executable, "-ISu", "-c", _FILTER, *HARMLESS_OF_CORE],
        stdin=subprocess.PIPE,
        stdout=real,
        # A Ctrl-C ends what it reads from, and then it ends.
        start_new_session=True,
    )
    assert reader.stdin is not None
    os.dup2(reader.stdin.fileno(), 2)
    reader.stdin.close()
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(real, 2)
        os.close(real)
        with contextlib.suppress(subprocess.TimeoutExpired):
            reader.wait(FLUSH_SEC)
