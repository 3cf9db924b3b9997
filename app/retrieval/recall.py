"""Recall of the index against exact search."""

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.config import RetrievalConfig
from app.faults import UserError
from app.retrieval.embedder import Vectors
from app.retrieval.index import SearchIndex
from app.retrieval.vectors import Rows, VectorShards
from app.storage import Folder

NUM_NEIGHBOURS = 10
RECALL_FILE = "recall_sample.npz"

# More than ten are kept: passages with equal vectors share a place, and any of them is right.
_NUM_KEPT = 32
_SAME_SCORE = 1e-5


@dataclass(frozen=True)
class RecallSample:
    """Sampled passages and their true neighbours; kept with the index, as other search settings want a new check."""

    rows: Rows
    """`[num_queries]` the passages that serve as queries."""
    vectors: Vectors
    """`[num_queries, dim]`"""
    neighbours: Rows
    """`[num_queries, num_kept]` rows by exact score, the passage itself left out."""
    scores: npt.NDArray[np.float32]
    """`[num_queries, num_kept]`"""

    @classmethod
    def search_exactly(cls, shards: VectorShards, num_queries: int, seed: int) -> "RecallSample":
        """Sample passages and compare each with every vector, shard by shard."""
        rows = shards.sample_rows(num_queries, seed)
        vectors = shards.take(rows)
        num_kept = min(_NUM_KEPT, shards.num_vectors - 1)
        neighbours = np.empty((len(rows), 0), dtype=np.int64)
        scores = np.empty((len(rows), 0), dtype=np.float32)
        for first_row, block in shards.blocks():
            block_rows = np.arange(first_row, first_row + len(block))
            block_scores = vectors @ block.T
            block_scores[rows[:, None] == block_rows] = -np.inf
            if 0 < num_kept == scores.shape[1]:
                # Of most blocks next to nothing is left: sorting whole ones takes far longer than comparing them.
                is_better = (block_scores > scores[:, -1:]).any(axis=0)
                block_scores, block_rows = block_scores[:, is_better], block_rows[is_better]
            scores = np.concatenate([scores, block_scores], axis=1)
            neighbours = np.concatenate([neighbours, np.broadcast_to(block_rows, block_scores.shape)], axis=1)
            best = np.lexsort((neighbours, -scores), axis=1)[:, :num_kept]
            scores = np.take_along_axis(scores, best, axis=1)
            neighbours = np.take_along_axis(neighbours, best, axis=1)
        return cls(rows, vectors, neighbours, scores)

    def recall(self, index: SearchIndex) -> float:
        """Recall@10: the share of the ten true neighbours among the index's ten best, the passage itself left out."""
        num_wanted = min(NUM_NEIGHBOURS, self.neighbours.shape[1])
        if num_wanted == 0:
            return 1.0
        found = index.search(self.vectors, num_wanted + 1).rows
        num_found = 0
        for row, candidates, neighbours, scores in zip(
            self.rows, found, self.neighbours, self.scores, strict=True
        ):
            right = neighbours[scores >= scores[num_wanted - 1] - _SAME_SCORE]
            others = candidates[candidates != row][:num_wanted]
            num_found += int(np.isin(others, right).sum())
        return num_found / (num_wanted * len(self.rows))

    def save(self, folder: Folder) -> None:
        buffer = io.BytesIO()
        np.savez(buffer, rows=self.rows, vectors=self.vectors, neighbours=self.neighbours, scores=self.scores)
        folder.write_bytes(RECALL_FILE, buffer.getvalue())

    @classmethod
    def load(cls, folder: Folder) -> "RecallSample":
        with np.load(io.BytesIO(folder.read_bytes(RECALL_FILE)), allow_pickle=False) as arrays:
            return cls(arrays["rows"], arrays["vectors"], arrays["neighbours"], arrays["scores"])


def check_recall(config: RetrievalConfig, recall: float) -> None:
    """Raise a UserError if an index finds less than `retrieval.min_recall` of the true neighbours."""
    if recall >= config.min_recall:
        return
    remedy = f"raise retrieval.nprobe above {config.nprobe}, or " if "IVF" in config.index_factory else ""
    raise UserError(
        f"retrieval.min_recall: recall@{NUM_NEIGHBOURS} of retrieval.index_factory {config.index_factory!r} is "
        f"{recall:.3f}, below {config.min_recall}; {remedy}use a finer one such as more bytes a vector or `Flat`"
    )
