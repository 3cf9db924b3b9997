import pytest

from app.config import EvaluateConfig, EvaluateSamplingConfig, RulerConfig
from eval.records import Record, Reply
from eval.ruler.definitions import TASKS
from eval.suites.ruler import protocol_differences, ruler_remarks, ruler_result


def record(task, length, index, text="yes", error=None, **facts):
    reply = None if error else Reply(text, "stop", 10, 2, 0, 0.1)
    return Record(f"{task}-{length}-{index:05}", task, length, "", facts, ["yes"], reply, error)


def settings(tasks, num_samples=2, **changes):
    ruler = RulerConfig(lengths_tokens=[4096, 8192], tasks=tasks, num_samples=num_samples, **changes)
    return EvaluateConfig(ruler=ruler)


def all_records(tasks, num_samples=2, **facts):
    return [
        record(task, length, index, "yes" if index or length == 4096 else "no", **facts)
        for task in tasks
        for length in (4096, 8192)
        for index in range(num_samples)
    ]


def test_all_tasks_give_means_intervals_and_an_effective_length():
    tasks = list(TASKS)
    result = ruler_result("m", settings([]), all_records(tasks), seed=1)
    assert result.means == {4096: 100.0, 8192: 50.0}
    assert result.effective_length_tokens == 4096
    assert result.weighted_means["mean"] == 75.0
    assert result.weighted_means["weighted to the longer"] == pytest.approx((100 + 2 * 50) / 3)
    low, high = result.intervals[8192]
    assert low <= 50.0 <= high
    assert "before May 2025" in result.remarks[0]
    assert "500 samples per task and length; these are over 2" in result.remarks[1]
    # Two of two wrong ones leave something open.
    assert result.task_intervals["vt"][8192][0] < 50.0 < result.task_intervals["vt"][8192][1]
    assert result.num_samples == 2


def test_some_of_the_tasks_are_not_compared_with_published_means():
    result = ruler_result("m", settings(["vt", "fwe"]), all_records(["vt", "fwe"]), seed=1)
    assert result.effective_length_tokens is None
    assert "2 of the 13 tasks" in result.remarks[0]


def test_an_own_haystack_is_said_and_so_are_its_copies():
    records = all_records(["niah_single_2"], num_copies=3) + all_records(["vt"], num_copies=900)
    result = ruler_result("m", settings(["niah_single_2", "vt"], haystack="t.txt"), records, seed=1)
    assert any("not RULER's" in remark for remark in result.remarks)
    # vt's noise is one line over and over, by design.
    assert result.num_copies == {4096: 3, 8192: 3}


def test_a_failure_leaves_its_length_without_a_mean():
    records = all_records(["vt"])
    records[0] = record("vt", 4096, 0, error="HTTP 400: no")
    result = ruler_result("m", settings(["vt"]), records, seed=1)
    assert result.means == {4096: None, 8192: 50.0}
    assert (result.counts.num_failed, result.counts.num_missing) == (1, 0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"api": "chat"}, "prompts were sent as chats"),
        ({"ruler": RulerConfig(data="texts")}, "evaluate.ruler.data may hold other texts"),
        ({"sampling": EvaluateSamplingConfig(temperature=0.6)}, "replies were sampled"),
        ({"sampling": EvaluateSamplingConfig(thinking_tokens=9)}, "replies had tokens for thought"),
    ],
)
def test_another_protocol_is_not_compared_and_says_so(changes, words):
    assert protocol_differences(EvaluateConfig(**changes)) == [words]
    [remark] = ruler_remarks(EvaluateConfig(**changes))
    assert words in remark
