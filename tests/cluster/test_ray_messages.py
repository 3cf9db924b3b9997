import os
import subprocess
import sys

from app.cluster.ray_messages import HARMLESS_OF_CORE, without_harmless_errors

PROGRAM = """
import os, sys
from app.cluster.ray_messages import HARMLESS_OF_CORE, without_harmless_errors
with without_harmless_errors():
    os.write(2, f"[core_worker.cc] Actor X {HARMLESS_OF_CORE[0]}. See https\\n".encode())
    os.write(2, b"[core_worker.cc] a true error\\n")
    print("from Python", file=sys.stderr, flush=True)
    os.write(2, b"no line end")
    {end}
os.write(2, b"\\nafter\\n")
"""


def stderr_of(end):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("{end}", end)], capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stderr


def test_only_harmless_lines_are_left_out():
    code, text = stderr_of("pass")
    assert code == 0
    assert sorted(text.splitlines()) == sorted(
        ["[core_worker.cc] a true error", "from Python", "no line end", "after"]
    )


def test_the_last_words_of_a_crash_arrive():
    code, text = stderr_of("os.abort()")
    assert code < 0
    assert "a true error" in text
    assert "no line end" in text
    assert HARMLESS_OF_CORE[0] not in text


def test_stderr_is_as_before_behind_the_block(capfd):
    before = os.fstat(2).st_ino
    with without_harmless_errors():
        assert os.fstat(2).st_ino != before
        os.write(2, b"seen\n")
    assert os.fstat(2).st_ino == before
    assert capfd.readouterr().err == "seen\n"


def test_a_daemons_harmless_error_is_left_out(capsys):
    from ray._private.worker import print_to_stdstream

    def report(line):
        print_to_stdstream({"lines": [line], "pid": "raylet", "is_err": False}, ignore_prefix=False)

    ended = "Task ServeController.graceful_shutdown failed. There are infinite retries remaining, so the task will be"
    with without_harmless_errors():
        report(f"{ended} retried.")
        report("Task train failed. There are infinite retries remaining, so the task will be retried.")
    assert "Task train failed" in (seen := capsys.readouterr().out)
    assert "graceful_shutdown" not in seen
    report(f"{ended} retried again.")
    assert "graceful_shutdown" in capsys.readouterr().out
