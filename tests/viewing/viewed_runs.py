"""Small finished datasets with all that a page shows; what comes from documents and models tries to be HTML."""

import json

import pyarrow as pa

from app.dataset.layout import SEPARATOR
from app.dataset.result_rows import RESULTS_DIR
from app.dataset.results import RESULT_SCHEMA
from app.dataset.seeds import SEEDS_DIR
from app.dataset.shards import EXAMPLES_DIR, write_shards
from app.dataset.statistics import REJECTS_DIR
from app.records.dataset import DatasetRecord
from app.run import Run
from app.schema import REJECT_SCHEMA, SEED_SCHEMA

ATTACK = """</script><script>alert("x")</script><img src=x onerror=alert(1)> & 'quoted'"""
EVIDENCE = f"The mill burnt down in 1893. {ATTACK}"
TASK_DATA = {
    "answer_key": [3, 1, 2],
    "answer_type": "ordered_list",
    "checker": "ordered_list",
    "num_hops": 1,
    "num_needed_documents": 3,
    "difficulty": None,
}
MEASURED = {
    "closed_book": -2.5,
    "evidence_gain": 1.25,
    "distractor_gain": 0.125,
    "necessity": [{"document_id": "d1", "drop": 0.5}, {"document_id": ATTACK, "drop": 0.25}],
    "judged_relevance": 4,
    "judged_correctness": None,
    "not_verified": None,
}


def long_input(index, num_chars=3000, **changes):
    """An example of two documents, with evidence in the second."""
    filler = "All work and no play. " * (num_chars // 44)
    first = f"Document 1: Mills {ATTACK}\n\n{filler}"
    second = f"Document 2\n\n{filler}{EVIDENCE}{filler}"
    context = SEPARATOR.join([first, second])
    start = context.index(EVIDENCE)
    instruction = f"When did mill {index} burn down? {ATTACK}"
    row = {
        "example_id": f"long-input-{index:08d}-aaaa",
        "kind": "long_input",
        "task": "compare" if index % 2 else "trace",
        "messages": [
            {"role": "user", "content": context + SEPARATOR + instruction},
            {"role": "assistant", "content": f"In 1893. Answer{index} {ATTACK}"},
        ],
        "num_tokens": 1000 + index,
        "document_ids": ["d1", f"d2 {ATTACK}"],
        "evidence_ids": ["d2:00003"],
        "evidence_depths": [0.625],
        "evidence_spans": [[start, start + len(EVIDENCE)]],
        "generator": f"writer {ATTACK}",
        "prompt_version": "7",
        "instruction": instruction,
        "task_data": None,
        "verification": MEASURED,
    }
    return row | changes


def structure(index):
    """A chat of two questions that a program can check."""
    row = long_input(
        index, kind="structure", task="order", verification=None, task_data=json.dumps(TASK_DATA)
    )
    row["example_id"] = f"structure-{index:08d}-bbbb"
    row["messages"] = [
        *row["messages"],
        {"role": "user", "content": "And which was the second?"},
        {"role": "assistant", "content": "The one at the ford."},
    ]
    return row


def long_output(index, num_chars=200):
    return long_input(
        index,
        example_id=f"long-output-{index:08d}-cccc",
        kind="long_output",
        task="write",
        messages=[
            {"role": "user", "content": "Write of mills."},
            {"role": "assistant", "content": "Mills turn. " * (num_chars // 12)},
        ],
        evidence_ids=[],
        evidence_depths=[],
        evidence_spans=[],
        instruction="Write of mills.",
        verification=None,
    )


def write_run(folder, rows, rejects=(), drafts=()):
    """A run with a finished dataset.

    Args:
        folder: Of the run.
        rows: Examples.
        rejects: Id, step, reason and detail.
        drafts: Examples among the rejects.
    """
    run = Run(str(folder))
    run.folder.write_json("config.json", {"config": {}})
    write_dataset(run, rows, rejects, drafts)
    record = {"num_examples": len(rows), "num_tokens": 1, "num_rejects": len(rejects)}
    run.dataset.complete(DatasetRecord(**record, kinds={}, rejects=[], calls={}))
    return run


def write_dataset(run, rows, rejects=(), drafts=()):
    """The files of a run's dataset, which is not complete yet."""
    dataset = run.dataset.folder
    write_shards(rows, len(rows), dataset / EXAMPLES_DIR, rows_per_shard=7, row_group_bytes=20_000)
    table = [dict(zip(REJECT_SCHEMA.names, reject, strict=True)) for reject in rejects]
    (dataset / REJECTS_DIR).write_table("rejects.parquet", pa.Table.from_pylist(table, REJECT_SCHEMA))
    seeds = [
        {
            "seed_id": reject[0],
            "seed_index": index,
            "kind": "long_input",
            "task": "trace",
            "document_id": "d1",
            "passage_id": "d1:00000",
            "text": f"Seed passage of {reject[0]}. {ATTACK}",
            "target_tokens": 4096,
            "random_seed": 1,
        }
        for index, reject in enumerate(rejects)
    ]
    (dataset / SEEDS_DIR).write_table("part.parquet", pa.Table.from_pylist(seeds, SEED_SCHEMA))
    if drafts:
        results = [
            dict.fromkeys(RESULT_SCHEMA.names) | row | {"seed_id": row["example_id"]} for row in drafts
        ]
        (dataset / RESULTS_DIR).write_table("part.parquet", pa.Table.from_pylist(results, RESULT_SCHEMA))
    thresholds = {"min_evidence_gain": 0.5, "max_closed_book": None}
    dataset.write_json("statistics.json", {"verification": {"thresholds": thresholds}})
