import time

import pytest
import torch

from benchmarks.gpu_kit.box import Box
from benchmarks.gpu_kit.records import read_records


@pytest.fixture
def box(tmp_path):
    return Box(
        step="rates",
        file=tmp_path / "r.jsonl",
        device=torch.device("cpu"),
        stop_at=time.monotonic() + 100,
        host_bytes=0,
        scratch=tmp_path,
        done={"known": "measured", "too long": "out of memory"},
    )


def written(box):
    return [(record.key, record.status) for record in read_records(box.file)]


def test_what_is_known_is_not_measured_again(box):
    assert box.measure("known", lambda: pytest.fail("measured again")) == "measured"
    assert box.measure("too long", lambda: pytest.fail("measured again")) == "out of memory"
    assert written(box) == []


def test_what_would_end_too_late_is_not_begun(box):
    assert box.measure("long", lambda: pytest.fail("begun"), needs_sec=200) == "skipped"
    assert written(box) == [("long", "skipped")]


def test_one_piece_that_fails_leaves_the_others(box):
    def fail():
        raise ValueError("no such kernel\nwith a long explanation")

    box.measure("bad", fail)
    box.measure("good", lambda: {"x": 1})
    assert written(box) == [("bad", "failed"), ("good", "measured")]
    assert read_records(box.file)[0].values["reason"] == "ValueError: no such kernel"


def test_too_little_memory_is_a_finding(box):
    def fill():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    assert box.measure("large", fill) == "out of memory"
    assert read_records(box.file)[0].is_final
