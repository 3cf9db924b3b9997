import json

import pyarrow.parquet as pq

from app.checkers import score_reply
from app.dataset.exports import RL_SCHEMA, rl_rows, write_rl
from tests.dataset.example_rows import make_row, write_dataset


def make_checkable(index, key, checker):
    task = {
        "answer_key": key,
        "answer_type": "text",
        "checker": checker,
        "num_hops": 1,
        "num_needed_documents": 2,
    }
    row = make_row(index)
    return row | {"kind": "structure", "task": "order", "task_data": json.dumps(task)}


ROWS = [
    make_row(0),
    make_checkable(1, [2, 1, 3], "ordered_list"),
    make_checkable(2, ["21:45", "seven"], "turns"),
]


def test_only_what_a_program_can_check_is_exported_with_its_key(tmp_path):
    dataset = write_dataset(tmp_path, ROWS)
    assert write_rl(dataset) == 2
    table = pq.read_table(tmp_path / "rl" / "train.parquet")
    assert table.schema.names == RL_SCHEMA.names
    first, second = table.to_pylist()
    assert json.loads(first["answer_key"]) == [2, 1, 3]
    assert score_reply("The order is 2, 1, 3.", json.loads(first["answer_key"]), first["checker"]) == 1.0
    assert first["reward_model"] == {"style": "rule", "ground_truth": first["answer_key"]}
    assert first["prompt"] == ROWS[1]["messages"][:1], "the prompt alone, without its answer"
    assert [row["extra_info"]["index"] for row in (first, second)] == [0, 1]


def test_of_a_chat_the_first_question_is_asked():
    (row,) = rl_rows(iter([ROWS[2]]))
    assert (json.loads(row["answer_key"]), row["checker"]) == ("21:45", "exact")


def test_a_dataset_without_keys_gives_no_row(tmp_path):
    assert write_rl(write_dataset(tmp_path, [make_row(0)])) == 0
    assert pq.read_table(tmp_path / "rl" / "train.parquet").num_rows == 0
