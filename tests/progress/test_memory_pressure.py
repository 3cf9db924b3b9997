"""A job whose workers the memory monitor ends says so in one line."""

import io

import pytest
from ray.exceptions import OutOfMemoryError
from rich.console import Console

from app.cluster.faults import users_faults
from app.faults import UserError
from app.progress.actor import MEMORY_INTERVAL_SEC, MemoryWatch
from app.progress.view import ProgressView


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_a_line_comes_each_time_that_more_workers_were_ended():
    kills, clock = [2], Clock()
    watch = MemoryWatch(lambda: kills[0], clock)
    kills[0] = 3
    assert watch.look() is None, "not at every look"
    told = []
    for number in (2, 3, 3, 7):
        kills[0] = number
        clock.now += MEMORY_INTERVAL_SEC
        told.append(watch.look())
    assert told[0] is told[2] is None
    assert told[1].startswith("memory: Ray's memory monitor has ended 1 worker of this job; ")
    assert "ended 5 workers" in told[3]
    assert "lower pipeline.max_actors" in told[3]
    assert "\n" not in told[3]


def test_the_line_is_shown_where_there_is_no_terminal():
    stream = io.StringIO()
    ProgressView(None, 60.0, Console(file=stream)).tell("memory: [too] little")
    assert stream.getvalue() == "memory: [too] little\n"


def test_a_job_that_ends_for_want_of_memory_ends_with_one_line():
    def fail():
        with users_faults():
            try:
                raise OutOfMemoryError("Task was killed due to the node running low on memory.\nMemory on …")
            except OutOfMemoryError as error:
                raise RuntimeError("Ray Data's own words") from error

    with pytest.raises(UserError, match=r"^memory: .* lower pipeline\.max_actors") as raised:
        fail()
    assert "\n" not in str(raised.value)
