"""Result rows → the finished dataset: the filters across rows, the shards, the rejects, the card."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict

import pyarrow as pa

from app.config import Config
from app.dataset.card import write_card
from app.dataset.filters import find_similar_instructions
from app.dataset.reject_share import check_rejects
from app.dataset.result_rows import ResultRows
from app.dataset.results import reject_of
from app.dataset.shards import EXAMPLES_DIR, write_shards
from app.dataset.statistics import REJECTS_DIR, compute_statistics
from app.dataset.verified import judge_rows
from app.records.dataset import DatasetRecord
from app.schema import REJECT_SCHEMA, Reject
from app.storage import Folder


def finish_dataset(config: Config, dataset: Folder, results: Folder, num_seeds: int) -> DatasetRecord:
    """Everything between the last result and a dataset that people can open; safe to repeat."""
    rows = ResultRows(results)
    assert len(rows) == num_seeds, f"{len(rows)} of {num_seeds} seeds have a result"
    verification = judge_rows(config, dataset, rows)
    calls, seed_passages = write_examples(config, dataset, rows, verification.rejects)
    statistics = compute_statistics(dataset, calls, seed_passages, verification.counts)
    write_card(dataset, config, statistics)
    return statistics.counts


def write_examples(
    config: Config, dataset: Folder, results: ResultRows, unverified: Mapping[str, Reject]
) -> tuple[dict[str, dict[str, int]], dict[str, int]]:
    """Write the examples that pass every filter, and the rejects with their reasons.

    Args:
        config: The run's settings.
        dataset: Its folder.
        results: All rows.
        unverified: Seed → what verification says against its example.

    Returns:
        LLM calls and tokens by step, those of rejects included; and the examples by the place of their seed's passage.
    """
    columns = [
        *("seed_id", "kind", "instruction", "reject_step", "reject_reason", "reject_detail"),
        *("seed_passage", "calls"),
    ]
    narrow = list(results.read(columns))
    own_rejects = [reject_of(row) for row in narrow]
    if len(own_rejects) >= config.dataset.min_judged_rows:
        check_rejects(own_rejects, config.dataset.max_reject_share)
    similar = find_similar_instructions(
        (
            (row["seed_id"], row["instruction"])
            for row in narrow
            # The words of a structure task are the same in each; its documents are not.
            if row["reject_reason"] is None and row["kind"] != "structure"
        ),
        config.dataset.filters.instruction_similarity,
    )
    rejects: list[Reject] = []
    seed_passages: Counter[str] = Counter()
    calls: dict[str, Counter[str]] = defaultdict(Counter)
    for row, own_reject in zip(narrow, own_rejects, strict=True):
        seed_id = row["seed_id"]
        if seed_id in similar:
            rejects.append(Reject(seed_id, "filters", "similar instruction", f"resembles {similar[seed_id]}"))
        elif own_reject is not None:
            rejects.append(own_reject)
        elif seed_id in unverified:
            rejects.append(unverified[seed_id])
        elif row["seed_passage"] is not None:
            seed_passages[row["seed_passage"]] += 1
        for step in row["calls"]:
            calls[step.pop("step")].update(step)
    left_out = {reject.row_id for reject in rejects}
    write_shards(
        (row for row in results.read() if row["seed_id"] not in left_out),
        len(results) - len(rejects),
        dataset / EXAMPLES_DIR,
        config.dataset.rows_per_shard,
        config.dataset.row_group_bytes,
    )
    table = pa.Table.from_pylist([asdict(reject) for reject in rejects], schema=REJECT_SCHEMA)
    (dataset / REJECTS_DIR).write_table("rejects.parquet", table)
    return {step: dict(counts) for step, counts in sorted(calls.items())}, dict(sorted(seed_passages.items()))
