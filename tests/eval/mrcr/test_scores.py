import pytest

from eval.mrcr.scores import match_ratio

ANSWER = "aYooSG8CQgOnce upon a time."


def test_a_reply_counts_only_behind_the_prefix():
    assert match_ratio(ANSWER, ANSWER, "aYooSG8CQg") == 1.0
    assert match_ratio(f" {ANSWER}\n", ANSWER, "aYooSG8CQg") == 1.0
    assert match_ratio("Once upon a time.", ANSWER, "aYooSG8CQg") == 0.0
    assert match_ratio("Sure! " + ANSWER, ANSWER, "aYooSG8CQg") == 0.0


def test_a_part_counts_as_far_as_it_goes():
    # 2 * 9 equal letters of 9 + 17.
    assert match_ratio("aYooSG8CQgOnce upon", ANSWER, "aYooSG8CQg") == pytest.approx(2 * 9 / (9 + 17))
