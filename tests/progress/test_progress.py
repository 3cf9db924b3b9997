import io
import json

import pytest
from rich.console import Console

from app.progress.actor import ProgressTally
from app.progress.counts import Counters, Delta, Meter, StepCounts, Tally
from app.progress.view import ProgressView, line, panel
from app.storage import Folder


class Clock:
    """Monotonic seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def steps(calls: int, prompt_tokens: int = 0, output_tokens: int = 0) -> dict[str, StepCounts]:
    return {"answer": StepCounts(calls=calls, prompt_tokens=prompt_tokens, output_tokens=output_tokens)}


def test_deltas_of_many_actors_add_up():
    tally = Tally(num_seeds=10)
    tally.add(Delta(steps(2, 100, 10), {"s1": "", "s2": "no evidence"}))
    tally.add(Delta({"summarize": StepCounts(replayed=3)} | steps(1, 50, 5), {"s3": ""}))
    counters = tally.counters
    assert (counters.num_examples, counters.rejects, counters.num_seeds_done) == (2, {"no evidence": 1}, 3)
    assert counters.total == StepCounts(calls=3, prompt_tokens=150, output_tokens=15, replayed=3)


def test_a_seed_that_is_made_twice_counts_once_by_its_last_outcome():
    tally = Tally(num_seeds=10)
    tally.add(Delta(outcomes={"s1": "timeout"}))
    tally.add(Delta(outcomes={"s1": "", "s2": ""}))
    tally.add(Delta(outcomes={"s2": ""}))
    assert (tally.counters.num_examples, tally.counters.rejects) == (2, {})


def test_a_resumed_job_counts_what_was_done_before():
    tally = Tally(num_seeds=10, num_seeds_done_before=6)
    tally.add(Delta(outcomes={"s7": "", "s8": "refusal"}))
    assert tally.counters.num_seeds_done == 8
    tally.add(Delta(outcomes={f"s{i}": "" for i in range(20)}))
    assert tally.counters.num_seeds_done == 10


def test_rates_are_of_the_last_minute():
    clock = Clock()
    meter = Meter(clock)
    for second in range(1, 301):
        clock.now = 1000.0 + second
        # Ten calls a second for four minutes, then two.
        calls = 10 * min(second, 240) + 2 * max(0, second - 240)
        reading = meter.read(Counters(100, steps=steps(calls, calls * 100, calls * 7)))
    assert reading.calls_per_sec == pytest.approx(2)
    assert reading.prompt_tokens_per_sec == pytest.approx(200)
    assert reading.output_tokens_per_sec == pytest.approx(14)
    assert reading.elapsed_sec == 300


def test_time_left_follows_the_seeds_of_this_start_once_calls_are_made():
    clock = Clock()
    meter = Meter(clock)
    assert meter.read(Counters(100, 40)).sec_left is None
    clock.now += 500  # the engine loads
    assert meter.read(Counters(100, 40)).sec_left is None
    meter.read(Counters(100, 40, steps=steps(1)))
    clock.now += 60
    reading = meter.read(Counters(100, 40, num_examples=25, rejects={"x": 5}, steps=steps(90)))
    assert reading.counters.num_seeds_done == 70
    assert reading.sec_left == pytest.approx(60)
    assert meter.read(Counters(100, 40, num_examples=60)).sec_left == 0


def counters() -> Counters:
    return Counters(
        num_seeds=200,
        num_seeds_done_before=20,
        num_examples=90,
        rejects={f"reason {i}": i for i in range(1, 8)},
        steps={f"step {i}": StepCounts(1000 * i, 10**6 * i, 10**5 * i, 10**5, 7) for i in range(1, 8)},
    )


def test_the_line_says_all_that_a_log_needs():
    clock = Clock()
    meter = Meter(clock)
    meter.read(Counters(200, 20, steps=steps(1)))
    clock.now += 30
    text = line(meter.read(counters()))
    assert "\n" not in text
    for part in (
        "seeds 138 of 200 (69%)",
        "examples 90",
        "rejects 28 (reason 7 7, ",
        "calls 28,000 (",
        "16s left",
    ):
        assert part in text


def test_the_panel_keeps_to_twelve_lines_of_a_terminal():
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    console.print(panel(Meter(Clock()).read(counters())))
    lines = console.file.getvalue().rstrip("\n").split("\n")
    assert len(lines) <= 12
    assert "138 of 200" in console.file.getvalue()


def test_a_log_gets_a_line_an_interval_and_the_file_the_same_numbers(tmp_path):
    clock, stream = Clock(), io.StringIO()
    view = ProgressView(Folder(str(tmp_path)), 60.0, Console(file=stream), clock)
    view.start()
    for _ in range(150):
        clock.now += 1
        view.update(counters())
    view.close(counters())
    assert stream.getvalue().count("\n") == 3
    [path] = tmp_path.glob("progress-*.jsonl")
    records = [json.loads(text) for text in path.read_text("utf-8").splitlines()]
    assert [record["elapsed_sec"] for record in records] == [60.0, 120.0, 150.0]
    assert records[0]["num_seeds_done"] == 138
    assert records[0]["rejects"] == counters().rejects
    assert records[0]["steps"]["step 1"]["calls"] == 1000


def test_a_terminal_gets_a_live_panel_and_no_lines():
    stream = io.StringIO()
    view = ProgressView(None, 0.001, Console(file=stream, force_terminal=True, width=80), Clock())
    view.start()
    view.update(counters())
    view.close(counters())
    assert "longstrap" in stream.getvalue()
    assert "| calls" not in stream.getvalue()


def test_a_run_may_have_any_name():
    # Ray takes tags of ASCII only, and raises where the metric is first set.
    tally = ProgressTally("größe", 3, 1)
    tally.add(Delta(outcomes={"s1": ""}))
    assert tally.snapshot().counters.num_seeds == 3
