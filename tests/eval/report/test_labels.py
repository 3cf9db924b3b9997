from eval.report.contents import Counts
from eval.report.labels import (
    copies_remark,
    count_remarks,
    difference_label,
    score_label,
    whole_label,
)


def test_scores_and_differences():
    assert [score_label(score) for score in (None, 0, 81.25, 99.99, 100.0)] == [
        "–",
        "0",
        "81.2",
        "100.0",
        "100",
    ]
    assert [whole_label(score) for score in (None, 0, 81.25, 99.9, 100.0)] == ["–", "0", "81", "99", "100"]
    assert [difference_label(score) for score in (None, 0.0, -0.01, 1.26, -3.4)] == [
        "–",
        "0",
        "0",
        "+1.3",
        "−3.4",
    ]


def test_what_has_no_answer_is_told():
    assert count_remarks(Counts(66)) == []
    [failed, missing] = count_remarks(Counts(1066, num_failed=3, num_missing=2))
    assert failed == "3 of 1,066 samples failed; what they belong to has no score."
    assert missing.startswith("2 of 1,066 samples were not asked yet;")
    [failed] = count_remarks(Counts(66, num_failed=3, failures_count_as_wrong=True))
    assert failed == "3 of 66 samples failed; they count as wrong."


def test_repeated_haystacks_are_told():
    assert copies_remark({4096: 1}) == []
    assert copies_remark({4096: 1, 1 << 20: 2, 4 << 20: 5}) == [
        "Repeated haystack: its text comes 2× at 1M, 5× at 4M."
    ]
