"""The rows that are drawn are compared with those that HELMET's own calls draw, where its library is there."""

import hashlib
import math
import random

import datasets
import pytest

from eval.helmet.choosing import Demos, chosen_rows, key_name, shuffled
from eval.helmet.definitions import TASKS
from eval.helmet.rows import Rows
from tests.eval.helmet.helmet_files import needle, question, ranking, write


def rows_of(folder, given, name="rows.jsonl"):
    write(folder / name, given)
    return Rows(folder / name)


def test_a_shuffle_is_that_of_the_library():
    data = datasets.Dataset.from_dict({"number": list(range(50))})
    for seed in (42, 7):
        assert shuffled(50, seed) == data.shuffle(seed=seed)["number"]


def test_needles_are_shuffled_and_the_first_ones_asked(tmp_path):
    rows = rows_of(tmp_path, [needle(number) for number in range(30)])
    data = datasets.Dataset.from_list([{"number": number} for number in range(30)])
    wanted = data.shuffle(seed=42).select(range(10))["number"]
    assert list(chosen_rows(TASKS["ruler_niah_mv"], rows, 10)) == wanted


def test_all_rows_of_a_drawn_question_are_asked(tmp_path):
    given = [question(number, depth) for number in range(20) for depth in range(3)]
    chosen = chosen_rows(TASKS["kilt_hotpotqa"], rows_of(tmp_path, given), 5)
    # As HELMET's load_qa draws after its run_test has seeded.
    random.seed(42)
    keys = random.sample(sorted({row["id"] for row in given}), 5)
    assert list(chosen) == [number for number, row in enumerate(given) if row["id"] in keys]
    assert len(chosen) == 15


def test_questions_without_an_id_are_known_by_their_words(tmp_path):
    given = [question(1), question(2)]
    for row in given:
        del row["id"]
    rows = rows_of(tmp_path, given)
    assert key_name(TASKS["kilt_nq"], rows) == "question"
    assert set(chosen_rows(TASKS["kilt_nq"], rows, 100).values()) == {"Who is 1?", "Who is 2?"}


def test_well_known_subjects_are_left_out(tmp_path):
    given = [question(1, s_pop=999), question(2, s_pop=1000)]
    rows = rows_of(tmp_path, given)
    assert list(chosen_rows(TASKS["kilt_popqa"], rows, 100)) == [0]
    assert math.log10(1000) == 3


def test_examples_are_drawn_by_the_question_and_are_other_ones(tmp_path):
    given = [question(number, depth) for number in range(6) for depth in range(2)]
    data = datasets.Dataset.from_list([{"id": row["id"], "number": n} for n, row in enumerate(given)])

    def drawn(key, among):
        seed = int(hashlib.sha256(key.encode()).hexdigest(), 16) % 2**31
        found = []
        for each in among.shuffle(seed=seed):
            if each["id"] not in [other["id"] for other in found]:
                found.append(each)
        return [given[each["number"]] for each in found[:2]]

    rows = rows_of(tmp_path, given)
    assert Demos(TASKS["kilt_nq"], rows, "id", []).of("q003") == drawn("q003", data)
    known = rows_of(tmp_path, [row | {"s_pop": 10} for row in given])
    others = [row["id"] for row in Demos(TASKS["kilt_popqa"], known, "id", []).of("q003")]
    assert others == [row["id"] for row in drawn("q003", data.filter(lambda row: row["id"] != "q003"))]


@pytest.mark.parametrize(("num_asked", "num_left"), [(1, 5), (4, 5)])
def test_examples_of_a_ranking_are_no_questions_that_are_asked(tmp_path, num_asked, num_left):
    rows = rows_of(tmp_path, [ranking(number) for number in range(6)])
    demos = Demos(TASKS["msmarco_rerank_psg"], rows, "qid", ["r000"] * num_asked)
    # Few rows are asked: all of their questions are left out at once. Otherwise only the one itself is.
    assert len(demos._all) == (num_left if num_asked == 1 else 6)
    assert "r000" not in [row["qid"] for row in demos.of("r000")]
