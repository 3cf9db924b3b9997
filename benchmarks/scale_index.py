"""How an index grows: building, bytes, search and recall of each kind, over 384 dimensions.

The vectors are random, normalized, and of 32 dimensions within 384 but for some noise: neighbours mean something, as
they do among texts. All is done on one thread.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from app.config import RetrievalConfig
from app.retrieval.embedder import Vectors
from app.retrieval.index import INDEX_FILE, SearchIndex, create_index, fill_index, save_index
from app.retrieval.recall import RecallSample
from app.retrieval.vectors import VectorShard, VectorShards, write_shard
from app.storage import Folder
from benchmarks.allocations import anonymous_bytes, reset_resident_peak
from benchmarks.scale_slopes import Law, Slopes, SlopeSet, cpu_sec

KINDS = ("Flat", "IVF,Flat", "IVF,PQ64np")
"""`np`: without the training for a search by Hamming distances, which Longstrap does not use."""
DIM = 384
INNER_DIM = 32
NOISE = 0.05
SHARD_ROWS = 8192
NUM_QUERIES = 50
NUM_RESULTS = 192
"""First search for a context of 65,536 tokens in passages of 512."""
WANTED_RECALL = 0.9
LISTS_FACTOR = 4.0
"""Times the root of the number of vectors: inverted lists, rounded to a power of two."""
TRAINING_PER_LIST = 39
"""FAISS asks for as many vectors."""
CODE_TRAINING = 10_000
"""For codes, and for their lists: more make them better, not slower to search."""


class Built(NamedTuple):
    """An index that is measured."""

    search: SearchIndex
    nprobe: int
    recall: float


def measure_indexes(folder: Path, sizes: Sequence[int]) -> dict[str, Slopes]:
    """Slopes of each kind of index by its name."""
    import faiss

    faiss.omp_set_num_threads(1)
    kinds = {kind: SlopeSet("vectors") for kind in KINDS}
    exact = SlopeSet("vectors")
    for size in sizes:
        shards = write_vectors(Folder(str(folder / f"vectors-{size}")), size)
        seconds, sample = _search_exactly(shards)
        exact.add("recall_sample", "sec", size, seconds)
        nprobe = 1
        for kind, found in kinds.items():
            nprobe = _measure_kind(
                found, kind, Folder(str(folder / f"{kind}-{size}")), shards, sample, nprobe
            )
    return {name: found.slopes() for name, found in kinds.items()} | {"exact": exact.slopes()}


def _measure_kind(
    found: SlopeSet, kind: str, folder: Folder, shards: VectorShards, sample: RecallSample, nprobe: int
) -> int:
    """Build, open and search one index; gives the lists that a query visits, which codes are searched with too."""
    size = shards.num_vectors
    config = settings_of(kind, size)
    index = create_index(config, size, DIM)
    build_sec = cpu_sec(fill_index, index, shards, config, 0)
    index.reset()
    # It stays trained.
    fill_sec = cpu_sec(fill_index, index, shards, config, 0)
    law: Law = "line" if kind == "Flat" else "n√n"
    found.add("fill", "sec", size, fill_sec, law)
    # So many vectors for each list, compared with all lists: √n times √n.
    found.add("train", "sec", size, build_sec - fill_sec)
    save_index(index, folder)
    del index
    path = Path(folder.file(INDEX_FILE))
    found.add("file", "bytes", size, path.stat().st_size)
    reset_resident_peak()
    before = anonymous_bytes()
    built = _open_with_recall(path, config, sample, nprobe)
    found.add("own_memory", "bytes", size, anonymous_bytes() - before)
    found.add("nprobe", "lists", size, built.nprobe, "power")
    found.add("recall_at_10", "share", size, built.recall)
    times = [cpu_sec(built.search.search, query[None], NUM_RESULTS) for query in sample.vectors]
    found.add("query", "sec", size, float(np.median(times)))
    return built.nprobe


def settings_of(kind: str, num_vectors: int) -> RetrievalConfig:
    """The recipe's settings for an index of a kind, with as many lists as the number of vectors asks for."""
    if kind == "Flat":
        return RetrievalConfig(model="none")
    lists = num_lists(num_vectors)
    return RetrievalConfig(
        model="none",
        index_factory=kind.replace("IVF", f"IVF{lists}"),
        num_training_vectors=TRAINING_PER_LIST * lists if kind.endswith("Flat") else CODE_TRAINING,
    )


def num_lists(num_vectors: float) -> int:
    """Inverted lists for so many vectors."""
    return int(2 ** round(np.log2(LISTS_FACTOR * np.sqrt(num_vectors))))


def write_vectors(folder: Folder, num_vectors: int) -> VectorShards:
    """Random vectors in shards, as they are embedded."""
    basis = np.random.default_rng(0).standard_normal((INNER_DIM, DIM), dtype=np.float32) / np.sqrt(INNER_DIM)
    random = np.random.default_rng(1)
    shards = []
    for first in range(0, num_vectors, SHARD_ROWS):
        count = min(SHARD_ROWS, num_vectors - first)
        vectors: Vectors = random.standard_normal((count, INNER_DIM), dtype=np.float32) @ basis
        vectors += NOISE * random.standard_normal((count, DIM), dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        shards.append(VectorShard(f"{first:09d}.npy", count))
        write_shard(folder, shards[-1].name, vectors)
    return VectorShards(folder, shards)


def _search_exactly(shards: VectorShards) -> tuple[float, RecallSample]:
    samples: list[RecallSample] = []
    seconds = cpu_sec(lambda: samples.append(RecallSample.search_exactly(shards, NUM_QUERIES, seed=0)))
    return seconds, samples[0]


def _open_with_recall(path: Path, config: RetrievalConfig, sample: RecallSample, nprobe: int) -> Built:
    """Map the index, and visit more lists until a query finds enough; codes are visited as whole vectors are."""
    while True:
        index = SearchIndex.open(path, config.index_factory, nprobe)
        recall = sample.recall(index)
        is_last = "Flat" not in config.index_factory or nprobe >= num_lists(index.num_vectors)
        if recall >= WANTED_RECALL or config.index_factory == "Flat" or is_last:
            return Built(index, nprobe, recall)
        nprobe = math.ceil(1.2 * nprobe)
