"""Passages → shards of vectors, in Ray Data actors."""

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import ray
import ray.data
from ray.data import DataContext

from app.cluster.faults import Kept, sent_to_driver, users_faults
from app.cluster.tasks import quiet_context
from app.config import Config, RetrievalConfig
from app.progress.attempts import Report
from app.quantities import duration
from app.retrieval.embedder import Vectors
from app.retrieval.index_folder import VECTORS_FOLDER, load_embedder
from app.retrieval.vectors import write_shard
from app.run import PASSAGES_DIR, Run
from app.storage import Folder

# A shard is what is embedded in one go and lost when an actor dies. The bounds keep a small corpus spread over the
# actors and a large one in a few thousand files.
MIN_SHARD_ROWS = 64
MAX_SHARD_ROWS = 8192
NUM_SHARDS_AIMED_AT = 64
_NUM_FOOTER_READERS = 16


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """Rows of one corpus part that become one shard of vectors."""

    part: str
    first_row: int
    """In its part."""
    num_rows: int

    @property
    def name(self) -> str:
        return f"{self.part.removesuffix('.parquet')}.{self.first_row:09d}.npy"


def plan_shards(passages: Folder) -> list[ShardPlan]:
    """Cut the corpus' parts into shards; the same for every start of the job, as it goes by the corpus alone."""
    names = passages.list_names(".parquet")
    with ThreadPoolExecutor(_NUM_FOOTER_READERS) as readers:
        sizes = list(readers.map(lambda name: _num_rows(passages, name), names))
    shard_rows = min(max(math.ceil(sum(sizes) / NUM_SHARDS_AIMED_AT), MIN_SHARD_ROWS), MAX_SHARD_ROWS)
    return [
        ShardPlan(name, first_row, min(shard_rows, size - first_row))
        for name, size in zip(names, sizes, strict=True)
        for first_row in range(0, size, shard_rows)
    ]


def _num_rows(passages: Folder, name: str) -> int:
    return int(pq.read_metadata(passages.file(name), filesystem=passages.filesystem).num_rows)


def embed_corpus(config: Config, run: Run, plans: Sequence[ShardPlan], report: Report) -> None:
    """Embed what is not embedded yet. The driver sees names and numbers only.

    Raises:
        UserError: A node can't load the model.
    """
    retrieval = config.retrieval
    done = set((run.index.folder / VECTORS_FOLDER).list_names(".npy"))
    todo = [plan for plan in plans if plan.name not in done]
    num_all, num_todo = (sum(plan.num_rows for plan in some) for some in (plans, todo))
    if not todo:
        return
    num_in_pieces = 0

    def sizes() -> Iterator[int]:
        nonlocal num_in_pieces
        for row in _embedded(retrieval, run, todo).iter_rows():
            num_in_pieces += int(row["num_in_pieces"])
            yield int(row["num_rows"])

    with DataContext.current(quiet_context()), users_faults():
        report_progress(sizes(), num_all, num_all - num_todo, config.progress.log_interval_sec, report)
    if num_in_pieces:
        report(
            f"embedding: {num_in_pieces:,} of {num_todo:,} passages have more tokens than retrieval.embedding_tokens "
            f"{retrieval.embedding_tokens} and were embedded in pieces; with a smaller corpus.passage_tokens none would"
        )


def _embedded(retrieval: RetrievalConfig, run: Run, todo: Sequence[ShardPlan]) -> ray.data.Dataset:
    """Dataset whose rows are the shards that got written."""
    max_actors = min(retrieval.max_embed_actors, len(todo))
    min_actors = min(retrieval.min_embed_actors, max_actors)
    return ray.data.from_items([asdict(plan) for plan in todo], override_num_blocks=len(todo)).map_batches(
        _EmbedActor,
        fn_constructor_args=(retrieval, run, max_actors),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(min_size=min_actors, max_size=max_actors),
        num_cpus=retrieval.cpus_per_embed_actor,
        num_gpus=retrieval.gpus_per_embed_actor or None,
        label_selector=retrieval.node_labels,
        # Waiting OpenMP threads that spin take the CPU from each other wherever threads outnumber free cores.
        runtime_env={"env_vars": {"OMP_WAIT_POLICY": "PASSIVE"}},
    )


def report_progress(
    sizes: Iterable[int],
    num_all: int,
    num_before: int,
    interval_sec: float,
    report: Report,
    now: Callable[[], float] = time.monotonic,
) -> None:
    """Report the passages embedded so far, of all, their rate and the time left, at most once an interval.

    Args:
        sizes: Passages of each shard as it gets finished.
        num_all: Passages to be embedded in all.
        num_before: How many of these an earlier start of the job has done.
        interval_sec: Least time between two lines.
        report: Takes the lines.
        now: The clock.
    """
    start_sec = last_sec = now()
    num_done = num_before
    for size in sizes:
        num_done += size
        now_sec = now()
        if now_sec - last_sec < interval_sec:
            continue
        last_sec = now_sec
        rate = (num_done - num_before) / (now_sec - start_sec)
        report(
            f"embedding: {num_done:,} of {num_all:,} passages ({num_done / num_all:.0%}), {rate:.1f} a second, "
            f"{duration((num_all - num_done) / rate)} left"
        )


class _EmbedActor:
    """Embeds one shard a call and writes it."""

    def __init__(self, retrieval: RetrievalConfig, run: Run, max_actors: int) -> None:
        device = "cuda" if retrieval.gpus_per_embed_actor else "cpu"
        if device == "cpu":
            import torch

            torch.set_num_threads(
                max(math.ceil(retrieval.cpus_per_embed_actor), num_node_cores() // max_actors)
            )
        self._embedder = Kept(lambda: load_embedder(retrieval, run, device))
        # What a half-precision model computes has no more digits than this.
        self._dtype = np.float32 if retrieval.dtype == "float32" else np.float16
        self._passages = run.corpus.folder / PASSAGES_DIR
        self._vectors = run.index.folder / VECTORS_FOLDER

    @sent_to_driver()
    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        embedder = self._embedder.get()
        (part,), (first_row,), (num_rows,) = batch["part"], batch["first_row"], batch["num_rows"]
        plan = ShardPlan(str(part), int(first_row), int(num_rows))
        num_before = embedder.num_in_pieces
        blocks = [embedder.embed_passages(texts) for texts in read_texts(self._passages, plan)]
        vectors: Vectors = np.concatenate(blocks)
        assert len(vectors) == plan.num_rows
        write_shard(self._vectors, plan.name, vectors.astype(self._dtype))
        num_in_pieces = embedder.num_in_pieces - num_before
        return {"num_rows": np.array([plan.num_rows]), "num_in_pieces": np.array([num_in_pieces])}


def read_texts(passages: Folder, plan: ShardPlan) -> Iterable[list[str]]:
    """A shard's texts, a row group at a time."""
    with pq.ParquetFile(passages.file(plan.part), filesystem=passages.filesystem) as parquet:
        group_start = 0
        for group in range(parquet.num_row_groups):
            size = parquet.metadata.row_group(group).num_rows
            low, high = (
                max(plan.first_row - group_start, 0),
                min(plan.first_row + plan.num_rows - group_start, size),
            )
            if low < high:
                yield (
                    parquet.read_row_group(group, columns=["text"])["text"].slice(low, high - low).to_pylist()
                )
            group_start += size


def num_node_cores() -> int:
    """Cores to use on this node: what Ray counts (it knows a container's limit), but no more than there are."""
    node_id = ray.get_runtime_context().get_node_id()
    ray_cpus = next(node["Resources"].get("CPU", 1) for node in ray.nodes() if node["NodeID"] == node_id)
    return max(1, min(int(ray_cpus), len(os.sched_getaffinity(0))))
