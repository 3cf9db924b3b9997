import json
import time

import pytest

from app.progress.attempts import ATTEMPTS_DIR, Attempt, attempt, read_attempts, seconds_by_step
from app.storage import Folder


@pytest.fixture
def run(tmp_path) -> Folder:
    return Folder(str(tmp_path / "run"))


def test_a_finished_attempt_keeps_its_last_line_and_passes_all_on(run):
    heard = []
    with attempt(run, "train 1k", 60.0, heard.append) as report:
        report("first")
        report("second\n  with a detail \n\n")
    [found] = read_attempts(run)
    assert (found.step, found.outcome, found.line) == ("train 1k", "done", "with a detail")
    assert 0 <= found.duration_sec < 60
    assert heard == ["first", "second\n  with a detail \n\n"]


def test_a_failed_attempt_keeps_the_reason_and_fails(run):
    with pytest.raises(ValueError, match="field"), attempt(run, "index", 60.0, print):
        raise ValueError("field: value;\n remedy")
    [found] = read_attempts(run)
    assert (found.outcome, found.line) == ("failed", "field: value; remedy")


def test_a_line_that_has_no_bytes_is_kept_as_far_as_it_has(run):
    with attempt(run, "index", 60.0, lambda line: None) as report:
        report("file \udcff.txt")
    assert read_attempts(run)[0].line == "file ?.txt"


def test_one_that_works_gives_signs_of_life(run):
    with attempt(run, "index", 0.02, print) as report:
        report("half way")
        deadline = time.monotonic() + 20
        while read_attempts(run)[0].line != "half way" and time.monotonic() < deadline:
            time.sleep(0.01)
        [found] = read_attempts(run)
        assert (found.outcome, found.line) == ("running", "half way")
        assert found.seen_sec > found.started_sec


def test_one_that_was_killed_is_told_from_one_that_works():
    found = Attempt("index", 1000.0, 1100.0, interval_sec=60.0)
    assert found.is_alive(1200.0)
    assert not found.is_alive(1300.0)
    assert not Attempt("index", 1000.0, 1100.0, 60.0, outcome="done").is_alive(1100.0)


def test_times_of_all_attempts_count_in_the_order_of_the_first(run):
    parts = [("synthesize", 30.0, 40.0), ("index", 10.0, 12.0), ("synthesize", 50.0, 51.5)]
    for step, started, seen in parts:
        values = {"step": step, "started_sec": started, "seen_sec": seen, "interval_sec": 1.0}
        (run / ATTEMPTS_DIR).write_bytes(f"{started}-{step}.json", json.dumps(values).encode())
    assert seconds_by_step(read_attempts(run)) == {"index": 2.0, "synthesize": 11.5}


def test_a_run_without_attempts(run):
    assert read_attempts(run) == []
