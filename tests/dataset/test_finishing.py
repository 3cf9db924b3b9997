from dataclasses import replace

import pyarrow as pa
import pytest

from app.dataset.finishing import finish_dataset
from app.dataset.pipeline import count_committed
from app.dataset.result_rows import ResultRows
from app.dataset.results import RESULT_SCHEMA, RowCalls, result_row
from app.recipe import load_config
from app.schema import Evidence, Example, Reject, Seed
from app.storage import Folder

SEED = Seed("id", 0, "long_input", "trace", "d", "d:00000", "text", 4000, 1)
SUBJECTS = (
    "whale oil in Nantucket",
    "pages of a database",
    "treaties on the Danube",
    "coral reefs",
    "lighthouse men",
)


def result(index, outcome="example", text="An answer."):
    seed = replace(SEED, seed_id=f"seed-{index}", seed_index=index)
    if outcome != "example":
        return result_row(seed, Reject(seed.seed_id, "answer", outcome), RowCalls())
    messages = [{"role": "user", "content": "question"}, {"role": "assistant", "content": text}]
    instruction = f"Trace what led to {SUBJECTS[index]}, step by step, with all the names that are given."
    example = Example(
        seed.seed_id,
        "long_input",
        "trace",
        messages,
        4000,
        ["d"],
        [Evidence("d:00000", 0.5, 0, 8)],
        "m",
        "1",
        instruction,
    )
    return result_row(seed, example, RowCalls())


def write(folder, name, rows):
    folder.write_table(name, pa.Table.from_pylist(rows, schema=RESULT_SCHEMA))


@pytest.fixture
def results(tmp_path):
    """Files in another order than the seeds; row 2 was written twice."""
    folder = Folder(str(tmp_path / "results"))
    write(folder, "b.parquet", [result(3, "timed out"), result(2), result(0)])
    write(folder, "a.parquet", [result(4), result(1), result(2)])
    return folder


def test_results_come_in_the_order_of_their_seeds_each_once(results):
    assert [row["seed_index"] for row in ResultRows(results).read()] == [0, 1, 2, 3, 4]


def test_every_seed_is_an_example_or_a_reject(results, tmp_path):
    dataset = Folder(str(tmp_path / "dataset"))
    record = finish_dataset(load_config("laptop"), dataset, results, num_seeds=5)
    assert (record.num_examples, record.num_rejects) == (4, 1)
    (name,) = (dataset / "examples").list_names()
    assert (dataset / "examples").read_table(name)["example_id"].to_pylist() == [
        "seed-0",
        "seed-1",
        "seed-2",
        "seed-4",
    ]
    (reject,) = (dataset / "rejects").read_table("rejects.parquet").to_pylist()
    assert (reject["row_id"], reject["reason"]) == ("seed-3", "timed out")


def test_structure_tasks_may_have_the_same_words(tmp_path):
    folder = Folder(str(tmp_path / "results"))
    rows = [result(index) | {"kind": kind} for index, kind in enumerate(["long_input", "structure"] * 2)]
    same = [row | {"instruction": rows[0]["instruction"]} for row in rows]
    write(folder, "a.parquet", same)
    record = finish_dataset(load_config("laptop"), Folder(str(tmp_path / "dataset")), folder, num_seeds=4)
    assert {kind: counts.num_examples for kind, counts in record.kinds.items()} == {
        "long_input": 1,
        "structure": 2,
    }
    assert [each.reason for each in record.rejects] == ["similar instruction"]


def test_a_seed_without_a_result_is_never_passed_over(results, tmp_path):
    with pytest.raises(AssertionError, match="5 of 6 seeds"):
        finish_dataset(load_config("laptop"), Folder(str(tmp_path / "dataset")), results, num_seeds=6)


def test_pending_checkpoints_are_not_committed(tmp_path):
    """Ray writes them before the rows: a driver killed in between has lost those rows."""
    folder = Folder(str(tmp_path / "checkpoint"))
    assert count_committed(folder) == 0
    folder.write_table("one.parquet", pa.table({"seed_id": ["a", "b"]}))
    folder.write_table("two.pending.parquet", pa.table({"seed_id": ["c"]}))
    assert count_committed(folder) == 2


def test_it_is_counted_where_the_passage_of_each_instruction_stands(tmp_path):
    seed = replace(SEED, passage_id="d:00007", text="Oil paid for it.")
    message = {"role": "assistant", "content": "An answer."}

    def place(user, evidence_id):
        messages = [{"role": "user", "content": user}, message]
        evidence = [Evidence(evidence_id, 0.5, 0, 8)]
        example = Example("id", "long_input", "trace", messages, 9, ["d"], evidence, "m", "1", "Trace oil.")
        return result_row(seed, example, RowCalls())["seed_passage"]

    assert place("Whales. Oil paid for it.", "d:00007") == "evidence"
    assert place("Whales. Oil paid for it.", "d:00001") == "distractor"
    assert place("Whales.", "d:00001") == "absent"
