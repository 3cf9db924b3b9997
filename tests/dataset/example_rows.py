"""Small finished datasets for the tests of shards, statistics, card and publishing."""

import pyarrow as pa

from app.config import Config
from app.dataset.layout import SEPARATOR
from app.dataset.shards import EXAMPLES_DIR, write_shards
from app.dataset.statistics import REJECTS_DIR
from app.schema import REJECT_SCHEMA
from app.storage import Folder

CALLS = {
    "answer": {
        "num_calls": 3,
        "num_prompt_tokens": 3000,
        "num_output_tokens": 300,
        "num_cached_tokens": 1000,
    },
    "summarize": {
        "num_calls": 40,
        "num_prompt_tokens": 90000,
        "num_output_tokens": 700,
        "num_cached_tokens": 50,
    },
}
REJECTS = [
    ("s7", "filters", "refusal"),
    ("s8", "filters", "refusal"),
    ("s9", "assembly", "evidence exceeds target"),
]


def make_row(
    index, kind="long_input", num_tokens=5000, depths=(0.05, 0.95), instruction=None, documents="Text. " * 50
):
    instruction = instruction or f"Compare flood {index} with the next."
    user = f"{documents}{SEPARATOR}{instruction}" if kind == "long_input" else instruction
    return {
        "example_id": f"{kind}-{index:06d}",
        "kind": kind,
        "task": "compare" if kind == "long_input" else "write",
        "messages": [{"role": "user", "content": user}, {"role": "assistant", "content": f"Answer {index}."}],
        "num_tokens": num_tokens,
        "document_ids": ["d1", "d2"],
        "evidence_ids": [f"d1:{place:05d}" for place in range(len(depths))] if kind == "long_input" else [],
        "evidence_depths": list(depths) if kind == "long_input" else [],
        "evidence_spans": [[place, place + 5] for place in range(len(depths))]
        if kind == "long_input"
        else [],
        "generator": "bundled:smollm2-135m-instruct",
        "prompt_version": "1",
        "instruction": instruction,
        "task_data": None,
        "verification": None,
    }


def make_rows():
    inputs = [
        make_row(index, num_tokens=4000 + 250 * index, depths=(index / 10, 0.999)) for index in range(10)
    ]
    return [*inputs, *(make_row(index, "long_output", 6000 + index) for index in range(3))]


def write_dataset(path, rows=None, rejects=REJECTS):
    rows = make_rows() if rows is None else rows
    dataset = Folder(str(path))
    write_shards(rows, len(rows), dataset / EXAMPLES_DIR, rows_per_shard=5, row_group_bytes=2000)
    table = pa.Table.from_pylist(
        [
            {"row_id": row_id, "step": step, "reason": reason, "detail": "x"}
            for row_id, step, reason in rejects
        ],
        REJECT_SCHEMA,
    )
    (dataset / REJECTS_DIR).write_table("rejects.parquet", table)
    (dataset / "seeds").write_table("seeds.parquet", table)
    return dataset


def make_config(**settings):
    raw = {
        "run_dir": "runs/floods",
        "corpus": {"sources": [{"path": "s3://bucket/floods.jsonl"}]},
        "retrieval": {"model": "bundled:multilingual-e5-small"},
        "generator": {
            "type": "openai",
            "model": "writer",
            "base_url": "http://inner-host:8000/v1",
            "api_key_env": "SECRET_KEY_VARIABLE",
            "tokenizer": "bundled:smollm2-135m-instruct",
        },
        "dataset": {
            "num_long_input_seeds": 10,
            "num_long_output_seeds": 3,
            "target_lengths": [{"min_tokens": 4000, "max_tokens": 8000}],
        },
    }
    return Config.model_validate(raw | settings)
