from eval.short.scores import ShortScores, TaskScore
from eval.suites.short import short_result


def test_short_scores_are_percent_and_one_a_task():
    scores = [
        TaskScore("ifeval", "prompt_level_strict_acc", "none", 0.5, 0.02, 541),
        TaskScore("ifeval", "inst_level_strict_acc", "none", 0.6, None, 541),
    ]
    (score,) = short_result(ShortScores("m", scores)).scores
    assert (score.task, score.score, score.standard_error) == ("ifeval", 50.0, 2.0)
