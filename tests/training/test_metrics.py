import json
from datetime import UTC, datetime

import pytest
import torch

from app.storage import Folder
from app.training.metrics import WINDOW_STEPS, MetricsLog, StepClock, StepMetrics, expert_loads, read_records


def metrics(step=12, **changes):
    values = {
        "stage": "256k",
        "step": step,
        "num_steps": 200,
        "loss": 2.1128,
        "learning_rate": 1e-5,
        "grad_norm": 0.816,
        "tokens_seen": 12_582_912,
        "tokens_per_sec_per_device": 1234.4,
        "mfu": 0.412,
        "peak_memory_bytes": round(39.1 * 2**30),
        "step_sec": 61.2,
        "sec_left": 11_520.0,
        "is_gpu": True,
        "time": datetime(2026, 11, 22, 7, 4, 5, tzinfo=UTC),
    }
    return StepMetrics(**values | changes)


def test_a_mixtures_step_tells_how_busy_its_experts_are():
    counts = torch.tensor([[3, 1], [2, 2]])
    step = metrics(**expert_loads(counts))
    assert step.record()["expert_shares"] == (0.625, 0.375)
    assert step.scalars()["max_expert_load"] == 1.5
    assert "expert_shares" not in step.scalars()
    assert expert_loads(None) == {}


@pytest.fixture
def folder(tmp_path):
    return Folder(str(tmp_path / "stage"))


def test_a_step_is_one_line_for_people():
    assert metrics().line() == (
        "256k  step 12/200  loss 2.113  |g| 0.82  1,234 tok/s/GPU  MFU 41.2%  peak 39.1 GiB  12.6M tokens  3h 12m left"
    )


def test_what_is_not_known_is_not_shown():
    assert metrics(mfu=None, is_gpu=False, sec_left=None).line() == (
        "256k  step 12/200  loss 2.113  |g| 0.82  1,234 tok/s/worker  peak 39.1 GiB  12.6M tokens  unknown left"
    )


def test_a_record_holds_every_value_as_json():
    record = json.loads(json.dumps(metrics(loss=float("nan"), mfu=None).record(), allow_nan=False))
    assert record["loss"] is None
    assert record["time"] == "2026-11-22T07:04:05+00:00"
    assert record == metrics().record() | {"loss": None, "mfu": None}
    assert record.keys() == {*StepMetrics.__dataclass_fields__}


def test_trackers_plot_numbers_that_are_some():
    found = metrics(grad_norm=float("inf"), mfu=None).scalars()
    assert found.keys() == {
        "loss",
        "learning_rate",
        "tokens_seen",
        "tokens_per_sec_per_device",
        "peak_memory_bytes",
        "step_sec",
    }
    assert found["loss"] == 2.1128


def steps(folder):
    return [record["step"] for record in read_records(folder)]


def test_steps_that_are_made_again_count_once(folder):
    log = MetricsLog(folder)
    log.start(0)
    for step in range(1, 8):
        log.add(metrics(step, loss=1.0))
    log.write()
    assert steps(folder) == [1, 2, 3, 4, 5, 6, 7]
    # Killed in step 8; the newest checkpoint is that of step 5.
    resumed = MetricsLog(folder)
    resumed.start(5)
    resumed.add(metrics(6, loss=2.0))
    resumed.write()
    assert steps(folder) == [1, 2, 3, 4, 5, 6]
    assert [record["loss"] for record in read_records(folder)] == [1.0] * 5 + [2.0]


def test_a_torn_line_is_left_out(folder):
    log = MetricsLog(folder)
    log.start(0)
    log.add(metrics(1))
    log.add(metrics(2))
    log.write()
    whole = folder.read_bytes("metrics.jsonl")
    folder.write_bytes("metrics.jsonl", whole[:-40])
    assert steps(folder) == [1]
    resumed = MetricsLog(folder)
    resumed.start(2)
    resumed.add(metrics(3))
    resumed.write()
    assert steps(folder) == [1, 3]
    assert len(folder.read_bytes("metrics.jsonl").splitlines()) == 2
    folder.write_bytes("metrics.jsonl", b'\xff{"step": "one"}\n[1]\n7\n' + whole)
    assert steps(folder) == [1, 2]


def test_nothing_is_written_where_nothing_is_new(folder):
    log = MetricsLog(folder)
    log.start(0)
    log.write()
    assert not folder.exists("metrics.jsonl")
    log.add(metrics(1))
    log.write()
    folder.filesystem.delete_file(folder.file("metrics.jsonl"))
    log.write()
    assert not folder.exists("metrics.jsonl")


def test_readers_see_whole_files_only(folder, monkeypatch):
    log = MetricsLog(folder)
    log.start(0)
    log.add(metrics(1))
    log.write()
    log.add(metrics(2))

    class FullDisk:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            return None

        def write(self, payload):
            raise OSError("no space left")

    class Full:
        def __getattr__(self, name):
            return getattr(Folder(folder.uri).filesystem, name)

        def open_output_stream(self, path):
            return FullDisk()

    monkeypatch.setattr(folder, "filesystem", Full())
    with pytest.raises(OSError, match="no space left"):
        log.write()
    assert steps(Folder(folder.uri)) == [1]


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def make_steps(clock, timer, durations, between=0.0, num_steps=10):
    found = []
    for index, duration in enumerate(durations):
        clock.now += between
        timer.start()
        clock.now += duration
        found.append(timer.stop(num_steps - index - 1))
    return found


def test_the_first_step_alone_is_better_than_nothing(clock):
    (first,) = make_steps(clock, StepClock(60, clock), [30])
    assert (first.step_sec, first.sec_left) == (30, 270)


def test_the_slow_first_step_does_not_count_later(clock):
    found = make_steps(clock, StepClock(60, clock), [30, 2, 4])
    assert [time.step_sec for time in found] == [30, 2, 4]
    assert [time.sec_left for time in found] == [270, 2 * 8, 3 * 7]


def test_the_time_between_steps_is_left_too(clock):
    found = make_steps(clock, StepClock(60, clock), [2, 2, 2], between=1)
    assert found[-1].step_sec == 2
    assert found[-1].sec_left == 3 * 7


def test_the_pace_is_that_of_the_last_steps(clock):
    durations = [9] * 50 + [1] * WINDOW_STEPS
    found = make_steps(clock, StepClock(60, clock), durations, num_steps=80)
    assert found[-1].sec_left == 10
    assert found[-2].sec_left > 11


def test_it_is_time_to_log_once_an_interval(clock):
    timer = StepClock(60, clock)
    assert not timer.is_time_to_log()
    clock.now += 60
    assert timer.is_time_to_log()
    assert not timer.is_time_to_log()
    clock.now += 59
    assert not timer.is_time_to_log()
    clock.now += 1
    assert timer.is_time_to_log()
