"""Statistics of a finished dataset: `statistics.json`, on which the card and the report are based.

Only narrow columns are read, file by file: the contexts themselves never enter memory.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from app.dataset.shards import EXAMPLES_DIR
from app.records.dataset import (
    CallCounts,
    DatasetStatistics,
    DepthHistogram,
    KindCounts,
    LengthHistogram,
    RejectCount,
    VerificationCounts,
    WriterCount,
)
from app.storage import Folder

STATISTICS_FILE = "statistics.json"
REJECTS_DIR = "rejects"
NUM_DEPTH_BINS = 10
MAX_LENGTH_BINS = 16
QUANTILES = {"min": 0.0, "p10": 0.1, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p90": 0.9, "max": 1.0}
_COLUMNS = ["kind", "task", "num_tokens", "evidence_depths", "generator", "prompt_version"]


def compute_statistics(
    dataset: Folder,
    calls: Mapping[str, Mapping[str, int]],
    seed_passages: Mapping[str, int] | None = None,
    verification: VerificationCounts | None = None,
) -> DatasetStatistics:
    """Count a dataset whose shards and rejects are written.

    Args:
        dataset: Holds `examples/*.parquet` (EXAMPLE_SCHEMA) and, if there are any, `rejects/*.parquet`
            (REJECT_SCHEMA).
        calls: Step of the workflow → its `num_calls`, `num_prompt_tokens`, `num_output_tokens` and
            `num_cached_tokens`, all seeds together.
        seed_passages: `evidence`, `distractor` or `absent` → long inputs in which their seed's passage is that.
        verification: What was measured of the answers.
    """
    lengths: dict[str, list[np.ndarray[Any, Any]]] = {}
    tasks: dict[str, Counter[str]] = {}
    written_by: Counter[tuple[str, str]] = Counter()
    depths = np.zeros(NUM_DEPTH_BINS, dtype=np.int64)
    for table in _tables(dataset / EXAMPLES_DIR, _COLUMNS):
        kinds = np.asarray(table["kind"].to_pylist(), dtype=object)
        num_tokens = table["num_tokens"].to_numpy()
        for kind in sorted(set(kinds)):
            lengths.setdefault(kind, []).append(num_tokens[kinds == kind])
        for kind, task in zip(kinds, table["task"].to_pylist(), strict=True):
            tasks.setdefault(kind, Counter())[task] += 1
        written_by.update(
            zip(table["generator"].to_pylist(), table["prompt_version"].to_pylist(), strict=True)
        )
        # Of a structure task, evidence stands where the documents happen to have it.
        long_inputs = table.filter(pc.field("kind") == "long_input")["evidence_depths"]
        found = long_inputs.combine_chunks().flatten().to_numpy(zero_copy_only=False)
        bins = np.minimum((found * NUM_DEPTH_BINS).astype(np.int64), NUM_DEPTH_BINS - 1)
        depths += np.bincount(bins, minlength=NUM_DEPTH_BINS)
    by_kind = {kind: np.concatenate(parts) for kind, parts in sorted(lengths.items())}
    every = np.concatenate([np.zeros(0, dtype=np.int64), *by_kind.values()])
    edges = length_edges(int(every.min()), int(every.max())) if len(every) else []
    rejects = _count_rejects(dataset / REJECTS_DIR)
    return DatasetStatistics(
        num_examples=len(every),
        num_tokens=int(every.sum()),
        num_rejects=sum(reject.num_rejects for reject in rejects),
        kinds={
            kind: KindCounts(
                num_examples=len(counts),
                num_tokens=int(counts.sum()),
                length_tokens=_quantiles(counts),
                tasks=dict(sorted(tasks[kind].items())),
            )
            for kind, counts in by_kind.items()
        },
        rejects=rejects,
        calls={step: CallCounts(**counts) for step, counts in sorted(calls.items())},
        lengths=LengthHistogram(
            edges_tokens=edges,
            counts={kind: np.histogram(counts, edges)[0].tolist() for kind, counts in by_kind.items()},
        ),
        evidence_depths=DepthHistogram(
            edges=[index / NUM_DEPTH_BINS for index in range(NUM_DEPTH_BINS + 1)], counts=depths.tolist()
        ),
        seed_passages=dict(seed_passages or {}),
        written_by=[
            WriterCount(generator=generator, prompt_version=version, num_examples=number)
            for (generator, version), number in sorted(written_by.items())
        ],
        verification=verification,
    )


def length_edges(min_tokens: int, max_tokens: int) -> list[int]:
    """Edges of a length histogram: even and round for lengths of one size, powers of two for lengths of many.

    All lengths lie below the last edge.
    """
    if max_tokens > 8 * max(min_tokens, 1):
        first, last = int(math.log2(max(min_tokens, 1))), int(math.log2(max_tokens)) + 1
        return [2**power for power in range(first, last + 1)]
    width = 1
    while (max_tokens // width - min_tokens // width) >= MAX_LENGTH_BINS:
        # 1, 2, 5, 10, 20 …
        width = width * 5 // 2 if str(width).startswith("2") else width * 2
    first = min_tokens // width * width
    return list(range(first, max_tokens + width + 1, width))


def _quantiles(counts: np.ndarray[Any, Any]) -> dict[str, float]:
    values = np.quantile(counts, list(QUANTILES.values()), method="nearest")
    return dict(zip(QUANTILES, values.tolist(), strict=True)) | {"mean": round(float(counts.mean()), 1)}


def _count_rejects(folder: Folder) -> list[RejectCount]:
    found: Counter[tuple[str, str]] = Counter()
    for table in _tables(folder, ["step", "reason"]):
        found.update(zip(table["step"].to_pylist(), table["reason"].to_pylist(), strict=True))
    return [
        RejectCount(step=step, reason=reason, num_rejects=number)
        for (step, reason), number in sorted(found.items(), key=lambda item: (-item[1], item[0]))
    ]


def _tables(folder: Folder, columns: list[str]) -> Iterator[pa.Table]:
    for name in folder.list_names(".parquet"):
        yield pq.read_table(
            folder.file(name), columns=columns, filesystem=folder.filesystem, memory_map=False
        )
