import csv

import pytest

from app.storage import Folder
from eval.short.scores import ShortScores, TaskScore, compare, read_scores, write_comparison

RESULTS = {
    "results": {
        "bbh_a": {
            "name": "bbh_a",
            "alias": "a",
            "sample_len": 10,
            "acc_norm,none": 0.5,
            "acc_norm_stderr,none": 0.1,
        },
        "ifeval": {
            "alias": "ifeval",
            "sample_len": 4,
            "strict_acc,none": 0.25,
            "strict_acc_stderr,none": "N/A",
            "exact,flexible": 1,
            "exact_stderr,flexible": float("nan"),
        },
        "bbh": {
            "alias": "bbh",
            "sample_count": {"acc_norm,none": 20},
            "acc_norm,none": 0.6,
            "acc_norm_stderr,none": 0.2,
        },
    },
    "group_subtasks": {"bbh": ["bbh_a"]},
}


def test_scores_are_read_groups_first():
    assert read_scores(RESULTS) == [
        TaskScore("bbh", "acc_norm", "none", 0.6, 0.2, 20),
        TaskScore("bbh_a", "acc_norm", "none", 0.5, 0.1, 10, "bbh"),
        TaskScore("ifeval", "strict_acc", "none", 0.25, None, 4),
        TaskScore("ifeval", "exact", "flexible", 1.0, None, 4),
    ]


def test_headlines_are_one_a_task_and_groups_stand_for_their_parts():
    headlines = ShortScores("m", read_scores(RESULTS)).headlines
    assert [(score.task, score.metric) for score in headlines] == [
        ("bbh", "acc_norm"),
        ("ifeval", "strict_acc"),
    ]


def test_a_group_without_a_score_does_not_stand_for_its_parts():
    results = {
        "results": {"a": RESULTS["results"]["bbh_a"], "all": {"alias": "all"}},
        "group_subtasks": {"all": ["a"]},
    }
    assert [score.task for score in ShortScores("m", read_scores(results)).headlines] == ["a"]


def score(value, stderr=0.03, task="t"):
    return TaskScore(task, "acc", "none", value, stderr, 100)


def test_differences_are_points_against_the_first_model():
    models = [
        ShortScores("base", [score(0.50), score(0.4, task="u")]),
        ShortScores("stage1", [score(0.45, 0.04), score(0.4, None, task="u"), score(0.9, task="v")]),
    ]
    compared = compare(models)
    assert [(line.task, line.model) for line in compared] == [
        ("t", "base"),
        ("t", "stage1"),
        ("u", "base"),
        ("u", "stage1"),
        ("v", "stage1"),
    ]
    assert compared[0].difference_points is None
    assert compared[1].difference_points == pytest.approx(-5.0)
    assert compared[1].difference_stderr_points == pytest.approx(5.0)
    assert (compared[3].difference_points, compared[3].difference_stderr_points) == (0.0, None)
    assert compared[4].difference_points is None


def test_the_table_is_written(tmp_path):
    folder = Folder(str(tmp_path))
    write_comparison(
        folder, compare([ShortScores("base", [score(0.5)]), ShortScores("stage", [score(0.75, None)])])
    )
    with (tmp_path / "scores.csv").open() as file:
        first, second = csv.DictReader(file)
    assert (first["model"], first["task"], first["score"], first["difference_points"]) == (
        "base",
        "t",
        "0.5",
        "",
    )
    assert (second["stderr"], second["difference_points"]) == ("", "25.0")


def test_no_models_no_table():
    assert compare([]) == []
