import pytest
from pydantic import ValidationError

from app.config import AalcrJudgeConfig, JudgeConfig
from eval.judge import read_verdict


def test_the_last_verdict_counts():
    verdicts = JudgeConfig().verdicts
    assert read_verdict("Not wrong, but right.", verdicts) == 1.0
    assert read_verdict("<think>right</think>", verdicts) is None


def test_verdicts_are_words_of_their_own():
    verdicts = AalcrJudgeConfig().verdicts
    assert read_verdict("INCORRECT", verdicts) == 0.0
    assert read_verdict('{"verdict": "CORRECT"}', verdicts) == 1.0
    assert read_verdict("Incorrectly put, I would say.", verdicts) is None


def test_a_judge_needs_words_for_right_and_wrong():
    with pytest.raises(ValidationError, match="has less than two words"):
        JudgeConfig(verdicts={"right": 1.0})
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        JudgeConfig(verdicts={"right": 100.0, "wrong": 0.0})
