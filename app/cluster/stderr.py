"""Leaves out of stderr what Ray's core calls an error and is none; it has no setting for what it prints there.

The core writes to the file descriptor itself, so another process reads that and passes on the rest. It outlives this
one, so that the last words of a crash are not lost.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

HARMLESS = (
    # Ray Data restarts its actors, and hands them what they run by reference; it holds that as long as they live.
    "has constructor arguments in the object store and max_restarts > 0",
    # Ray Serve ends its controller by a call that the controller does not survive.
    "ServeController.graceful_shutdown",
)
"""Parts of the lines that are left out."""
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
    """Inside the block, this process and those that it starts print no line with one of `HARMLESS` on stderr."""
    sys.stderr.flush()
    real = os.dup(2)
    reader = subprocess.Popen(
        [sys.executable, "-ISu", "-c", _FILTER, *HARMLESS],
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
