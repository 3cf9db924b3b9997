import signal
import subprocess
import sys
import time

import pytest

from app.cluster import waiting as module
from app.cluster.waiting import waiting

# A call that does not return to Python, as Ray's are: handlers of Python's are not run meanwhile.
DEAF = """
import ctypes
from app.cluster import waiting
waiting.HEAR_SEC = 0.2
with waiting.waiting("waiting for Ray"):
    print("waits", flush=True)
    while True:
        ctypes.CDLL(None).pause()
"""


def test_a_long_wait_is_told(monkeypatch, capsys):
    monkeypatch.setattr(module, "SAY_SEC", 0.05)
    with waiting("waiting for Ray at h:1"):
        time.sleep(0.2)
    assert capsys.readouterr().err.startswith("waiting for Ray at h:1: ")


def test_a_short_wait_is_not(capsys):
    with waiting("waiting for Ray"):
        pass
    assert capsys.readouterr().err == ""


def test_a_signal_that_python_hears_does_what_it_does(capsys):
    # A process that was started in the background ignores it otherwise.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), waiting("waiting for Ray"):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("number", "word"), [(signal.SIGTERM, "terminated"), (signal.SIGINT, "interrupted")])
def test_a_signal_is_heard_where_python_is_not_let(number, word):
    program = f"import signal; signal.signal({int(number)}, lambda *_: None)\n{DEAF}"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waits\n"
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert errors.startswith(f"longstrap: {word} while waiting for Ray")
    assert errors.count("\n") == 1
