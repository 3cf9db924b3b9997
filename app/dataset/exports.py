"""A finished dataset's checkable examples in the columns that RL trainers read."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from app.dataset.excerpts import read_examples
from app.schema import MESSAGES_TYPE
from app.storage import Folder

RL_DIR, RL_FILE = "rl", "train.parquet"
DATA_SOURCE = "longstrap"
ROWS_PER_GROUP = 16
RL_SCHEMA = pa.schema(
    [
        ("prompt", MESSAGES_TYPE),
        ("answer_key", pa.string()),
        ("checker", pa.string()),
        ("data_source", pa.string()),
        ("ability", pa.string()),
        ("reward_model", pa.struct([("style", pa.string()), ("ground_truth", pa.string())])),
        (
            "extra_info",
            pa.struct([("index", pa.int64()), ("example_id", pa.string()), ("checker", pa.string())]),
        ),
    ]
)
"""TRL's GRPO takes `prompt` and hands the other columns to reward functions; verl takes `prompt`, `data_source`,
`ability`, `reward_model` and `extra_info`. Keys are JSON."""


def write_rl(dataset: Folder) -> int:
    """Write `rl/train.parquet` from the examples that a program can check, whole or not at all.

    Args:
        dataset: A finished dataset.

    Returns:
        Number of rows.
    """
    folder = dataset / RL_DIR
    num_rows = 0
    with (
        folder.replace(RL_FILE) as aside,
        pq.ParquetWriter(aside, RL_SCHEMA, filesystem=folder.filesystem, compression="zstd") as writer,
    ):
        for rows in _groups(rl_rows(read_examples(dataset))):
            writer.write_table(pa.Table.from_pylist(rows, schema=RL_SCHEMA))
            num_rows += len(rows)
    return num_rows


def rl_rows(examples: Iterator[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """One row of RL_SCHEMA for each example with a key. Of a chat with several questions, the first is asked."""
    index = 0
    for example in examples:
        if example["task_data"] is None:
            continue
        task = json.loads(example["task_data"])
        has_turns = task["checker"] == "turns"
        key = json.dumps(task["answer_key"][0] if has_turns else task["answer_key"], ensure_ascii=False)
        checker = "exact" if has_turns else task["checker"]
        yield {
            "prompt": example["messages"][:1],
            "answer_key": key,
            "checker": checker,
            "data_source": DATA_SOURCE,
            "ability": example["task"],
            "reward_model": {"style": "rule", "ground_truth": key},
            "extra_info": {"index": index, "example_id": example["example_id"], "checker": checker},
        }
        index += 1


def _groups(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    for row in rows:
        group.append(row)
        if len(group) == ROWS_PER_GROUP:
            yield group
            group = []
    if group:
        yield group
