from dataclasses import replace

from eval.report.contents import ShortResult, ShortScore
from eval.report.markdown import render_markdown, render_table
from eval.report.ruler_tables import ruler_difference_table, ruler_means_table, ruler_task_table
from eval.report.tables import Table, niah_means_table, niah_table, recall_table, short_table
from eval.suites.registry import make_parts
from tests.eval.report.report_contents import (
    PUBLISHED,
    TASKS,
    make_contents,
    make_niah,
    make_recall,
    make_ruler,
    make_short,
)

LENGTHS = [32768, 131072]


def row_of(table, name):
    [row] = [row for row in table.rows if row[0] == name]
    return row


def test_the_grid_has_a_row_for_each_depth_and_means():
    result = make_niah(0, "m", LENGTHS)
    table = niah_table(result)
    assert table.columns == ["depth", "32k", "128k"]
    assert [row[0] for row in table.rows] == ["0%", *(f"{step}0%" for step in range(1, 11)), "mean"]
    assert row_of(table, "50%")[1:] == [f"{score:.0f}" for score in result.scores[5]]


def test_a_gap_is_no_number_and_its_mean_neither():
    result = make_niah(0, "m", LENGTHS)
    result.scores[3][1] = None
    table = niah_table(result)
    assert row_of(table, "30%")[2] == row_of(table, "mean")[2] == "–"
    assert row_of(table, "mean")[1] != "–"


def test_means_stand_beside_the_base_and_published_rows():
    contents = make_contents(2, LENGTHS)
    base, stage = contents.of("ruler")
    table = ruler_means_table(contents.of("ruler"), base, PUBLISHED)
    assert table.columns == ["model", "32k", "128k", "w. inc", "w. dec", "effective"]
    assert row_of(table, base.model)[-1] == "–"
    assert row_of(table, stage.model)[-1] == "128k"
    change = stage.means[131072] - base.means[131072]
    assert row_of(table, "against base")[2] == f"{change:+.1f}"
    assert row_of(table, "against base")[-3:] == ["+1.0", "0", ""]
    assert [row[1] for row in table.rows].count("89.8") == 1
    assert row_of(table, "Made-up-8B ¹")[1:3] == ["89.8", "78.5"]
    assert row_of(table, "Made-up-8B ²")[1:3] == ["87.4", "77.0"]
    assert "¹ published: A paper; ² published: A README" in table.caption
    # It has none of these lengths.
    assert not [row for row in table.rows if row[0].startswith("Made-up-4M")]


def test_tasks_and_differences_have_all_tasks():
    base, stage = make_ruler(0, "a", LENGTHS), make_ruler(1, "b", LENGTHS)
    assert [row[0] for row in ruler_task_table(base).rows] == [*TASKS, "mean"]
    base.scores["vt"][131072] = None
    table = ruler_difference_table(stage, base)
    assert row_of(table, "vt")[2] == "–"
    change = stage.scores["cwe"][32768] - base.scores["cwe"][32768]
    assert row_of(table, "cwe")[1] == f"{change:+.1f}".replace("-", "−")


def test_short_tasks_say_what_a_stage_cost():
    base, stage = make_short(0, "base"), make_short(1, "stage")
    table = short_table([base, stage], base)
    assert table.columns == ["task", "base", "stage"]
    assert table.rows[0] == ["ifeval, prompt_level_strict_acc", "77.4 ±1.1, n=541", "75.1 ±1.1 (−2.3), n=541"]


def test_metrics_of_a_task_stand_apart_and_what_one_model_lacks_is_a_gap():
    base = ShortResult(
        "base", [ShortScore("x", "acc", 50.0, None, 10), ShortScore("x", "loose", None, None, 10)]
    )
    stage = ShortResult(
        "stage", [ShortScore("x", "acc", 60.0, None, 10), ShortScore("y", "acc", 0.0, 0.0, 10)]
    )
    table = short_table([base, stage], base)
    assert table.rows == [
        ["x, acc", "50.0 (23.7–76.3), n=10", "60.0 (31.3–83.2) (+10.0), n=10"],
        ["x, loose", "–, n=10", "–"],
        ["y, acc", "–", "0 (0.0–27.8), n=10"],
    ]


def test_intervals_and_numbers_of_samples_stand_beside_means():
    niah = replace(
        make_niah(0, "m", LENGTHS), intervals={32768: (74.1, 100.0)}, num_samples={32768: 11, 131072: 11}
    )
    table = niah_means_table([niah])
    assert row_of(table, "95% interval")[1:] == ["74.1–100.0", ""]
    assert row_of(table, "samples")[1:] == ["11", "11"]
    ruler = replace(make_ruler(0, "m", LENGTHS), num_samples=100)
    ruler.task_intervals["vt"] = {32768: (10.0, 30.0)}
    shown = ruler_task_table(ruler)
    assert row_of(shown, "vt")[1].endswith(" (10.0–30.0)")
    assert "100 samples each" in shown.caption
    assert row_of(ruler_task_table(ruler, has_intervals=False), "vt")[1].endswith(")") is False
    assert row_of(ruler_means_table([ruler], ruler, ()), "samples")[1] == "1,300"


def test_wrong_answers_are_listed_under_their_suite():
    contents = replace(make_contents(1, LENGTHS), wrong={"niah": ["m, niah-4096-00001: wanted 7"]})
    assert make_parts(contents)[0].wrong == ["m, niah-4096-00001: wanted 7"]
    assert "- m, niah-4096-00001: wanted 7" in render_markdown("Evaluation", make_parts(contents))


def test_recall_tells_what_answers_follow():
    [row] = recall_table([make_recall(0, "m")]).rows
    assert row == ["m, facts, 4k", "92.0", "70.0", "68.0", "22.0", "31.0", "50"]


def test_remarks_name_the_models_they_are_true_of():
    [niah, ruler, *_] = make_parts(make_contents(2, LENGTHS, gaps=True, copies=True))
    assert "Repeated haystack: its text comes 2× at 128k." in niah.remarks
    assert any("samples failed; what they belong to has no score." in remark for remark in niah.remarks)
    assert "The server computed 55% of the prompts' tokens, and had the rest cached." in niah.remarks
    contents = make_contents(2, LENGTHS)
    contents.of("ruler")[1].remarks.append("Own haystack: not comparable.")
    assert make_parts(contents)[1].remarks == ["256k: Own haystack: not comparable."]
    assert ruler.suite == "ruler"


def test_markdown_stands_in_columns_and_is_harmless():
    table = Table("c", ["model", "4k"], [["a|b*<i>", "1.0"], ["x", "20.0"]], {1})
    first, rule, *rows = render_table(table).splitlines()
    assert first == "| model      |       4k |"
    assert rule == "|------------|---------:|"
    assert rows == ["| a\\|b\\*\\<i> |      1.0 |", "| **x**      | **20.0** |"]


def test_the_whole_report_as_markdown():
    text = render_markdown("Evaluation", make_parts(make_contents(3, LENGTHS)))
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == [
        "# Evaluation",
        "## Needle in a haystack",
        "## RULER",
        "## Short tasks",
        "## Reasoning or recall",
    ]
    assert "![RULER](ruler.png)" in text
    assert "512k against Llama-3.2-1B-Instruct: RULER by task and length, in points:" in text
