import pytest

from eval.records import Record, Reply
from eval.ruler.published import PUBLISHED
from eval.ruler.scores import effective_length, score_ruler, weighted_mean

NEEDLE, QUESTION = "niah_multiquery", "qa_1"


def record(task, length, index, text, references=("11", "22")):
    reply = None if text is None else Reply(text, "stop", 10, 2, 0, 0.1)
    return Record(
        f"{task}-{length}-{index:05}",
        task,
        length,
        "",
        {},
        list(references),
        reply,
        None if reply else "endpoint away",
    )


def table(*texts_by_cell):
    records, expected = [], {}
    for task, length, texts in texts_by_cell:
        expected[task, length] = len(texts)
        records += [record(task, length, index, text) for index, text in enumerate(texts)]
    return records, expected


def test_each_task_has_its_metric():
    records, expected = table((NEEDLE, 4096, ["11 and 22", "11"]), (QUESTION, 4096, ["11", "33"]))
    scores = score_ruler(records, expected, failures_count_as_wrong=False)
    assert scores.cells[NEEDLE, 4096].score.value == 75.0
    assert scores.cells[QUESTION, 4096].score.value == 50.0
    assert scores.means[4096].value == 62.5
    assert scores.means[4096].low < 62.5 < scores.means[4096].high
    assert scores.tasks == [NEEDLE, QUESTION]
    assert not scores.is_comparable


def test_a_missing_sample_leaves_no_score():
    records, expected = table(
        (NEEDLE, 4096, ["11", "22"]), (QUESTION, 4096, ["11"]), (QUESTION, 8192, ["11"])
    )
    expected[NEEDLE, 8192] = 1
    scores = score_ruler(records[1:], expected, failures_count_as_wrong=True)
    assert scores.cells[NEEDLE, 4096].score is None
    assert scores.cells[NEEDLE, 4096].num_missing == 1
    assert scores.cells[QUESTION, 4096].score.value == 100.0
    assert scores.means == {4096: None, 8192: None}
    assert (
        scores.mean
        is scores.mean_increasing
        is scores.mean_decreasing
        is scores.effective_length_tokens
        is None
    )


def test_a_task_that_a_length_lacks_leaves_no_mean():
    records, expected = table((NEEDLE, 4096, ["11 22"]), (QUESTION, 4096, ["11"]), (QUESTION, 8192, ["11"]))
    scores = score_ruler(records, expected, failures_count_as_wrong=False)
    assert scores.means[4096].value == 100.0
    assert scores.means[8192] is None


def test_failures_are_wrong_only_where_they_are_said_to_be():
    records, expected = table((NEEDLE, 4096, ["11 22", None]))
    silent = score_ruler(records, expected, failures_count_as_wrong=False)
    assert silent.cells[NEEDLE, 4096].score is None
    assert silent.cells[NEEDLE, 4096].num_failed == 1
    counted = score_ruler(records, expected, failures_count_as_wrong=True)
    assert counted.cells[NEEDLE, 4096].score.value == 50.0


def test_more_records_than_samples_are_our_fault():
    records, _ = table((NEEDLE, 4096, ["11", "22"]))
    with pytest.raises(AssertionError, match="2 records of 1 samples"):
        score_ruler(records, {(NEEDLE, 4096): 1}, failures_count_as_wrong=False)


# Rows of the README of NVIDIA/RULER: means of 4k to 128k, plain, increasing and decreasing mean, effective length.
README = [
    ([95.5, 93.8, 91.6, 87.4, 84.7, 77.0], 88.3, 85.4, 91.3, 32),
    ([94.5, 92.5, 92.3, 89.3, 83.2, 81.6], 88.9, 86.6, 91.2, 32),
    ([92.8, 90.3, 85.7, 79.9, 76.3, 69.5], 82.4, 78.5, 86.3, 16),
    ([96.7, 95.8, 96.0, 95.9, 95.9, 94.4], 95.8, 95.5, 96.1, 128),
    ([82.3, 78.4, 73.7, 69.1, 68.1, 65.0], 72.8, 69.9, 75.7, None),
    ([88.1, 85.5, 84.5, 82.7, 75.5, 68.9], 80.9, 77.8, 83.9, 4),
]


@pytest.mark.parametrize(("means", "plain", "increasing", "decreasing", "effective_k"), README)
def test_means_and_effective_length_are_those_of_published_rows(
    means, plain, increasing, decreasing, effective_k
):
    texts = {
        length: ["11 22"] * round(mean * 10) + ["no"] * (1000 - round(mean * 10))
        for length, mean in zip([4096 * 2**doubling for doubling in range(6)], means, strict=True)
    }
    scores = score_ruler(*table(*((NEEDLE, length, answers) for length, answers in texts.items())), False)
    assert [round(mean.value, 1) for mean in scores.means.values()] == means
    assert scores.mean == pytest.approx(plain, abs=0.051)
    assert scores.mean_increasing == pytest.approx(increasing, abs=0.051)
    assert scores.mean_decreasing == pytest.approx(decreasing, abs=0.051)
    assert scores.effective_length_tokens == (effective_k * 1024 if effective_k else None)


def test_the_threshold_itself_is_not_above_it():
    assert effective_length({4096: 85.6}) is None
    assert effective_length({4096: 85.7, 8192: 85.6, 16384: 90.0}) == 16384
    assert weighted_mean([1.0, 4.0], [3, 1]) == 1.75


def test_published_rows_are_whole():
    rows = {(row.model, row.source): row.means for row in PUBLISHED}
    assert len(rows) == len(PUBLISHED)
    assert rows["SelfLong-8B", "Bootstrap Your Own Context Length, arXiv 2412.18860"] == {
        32768: 89.5, 65536: 84.0, 131072: 82.0, 262144: 79.7, 524288: 78.2, 1048576: 69.6,
    }  # fmt: skip
    assert all(0 < mean < 100 for means in rows.values() for mean in means.values())
