"""Shards of vectors on disk: written by many processes, read one after another."""

import io
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.retrieval.embedder import Vectors
from app.storage import Folder

Rows = npt.NDArray[np.int64]

_NUM_READ_AHEAD = 4


@dataclass(frozen=True, slots=True)
class VectorShard:
    """One `.npy` file `[num_vectors, dim]`, float32 or float16."""

    name: str
    num_vectors: int


def write_shard(folder: Folder, name: str, vectors: npt.NDArray[np.floating]) -> None:
    """Write one shard, whole or not at all."""
    buffer = io.BytesIO()
    np.save(buffer, vectors, allow_pickle=False)
    folder.write_bytes(name, buffer.getvalue())


class VectorShards:
    """Shards whose rows follow each other: row 0 is the first shard's first vector. Never all in memory at once."""

    def __init__(self, folder: Folder, shards: Sequence[VectorShard]) -> None:
        assert shards, "an index of nothing"
        self._folder = folder
        self._shards = list(shards)
        self._ends = np.cumsum([shard.num_vectors for shard in shards], dtype=np.int64)
        self.num_vectors = int(self._ends[-1])
        self.dim = int(self._read(self._shards[0]).shape[1])

    def blocks(self) -> Iterator[tuple[int, Vectors]]:
        """All vectors as `(first row, [num_rows, dim])`, in order."""
        return self._read_ahead(range(len(self._shards)))

    def sample_rows(self, num_rows: int, random_seed: int) -> Rows:
        """Rows drawn evenly over all shards: one from each of `num_rows` equal stretches; all, if there are no more."""
        num_rows = min(num_rows, self.num_vectors)
        borders = np.arange(num_rows + 1, dtype=np.int64) * self.num_vectors // num_rows
        return np.random.default_rng(random_seed).integers(borders[:-1], borders[1:])

    def take(self, rows: Rows) -> Vectors:
        """Vectors `[num_rows, dim]` of ascending rows."""
        taken = np.empty((len(rows), self.dim), dtype=np.float32)
        shard_of_row = np.searchsorted(self._ends, rows, side="right")
        for first_row, block in self._read_ahead(np.unique(shard_of_row).tolist()):
            low, high = np.searchsorted(rows, [first_row, first_row + len(block)])
            taken[low:high] = block[rows[low:high] - first_row]
        return taken

    def _read(self, shard: VectorShard) -> Vectors:
        vectors = np.load(io.BytesIO(self._folder.read_bytes(shard.name)), allow_pickle=False)
        assert vectors.shape[0] == shard.num_vectors, (
            f"{shard.name}: {vectors.shape} for {shard.num_vectors} passages"
        )
        return np.ascontiguousarray(vectors, dtype=np.float32)

    def _read_ahead(self, indices: Sequence[int]) -> Iterator[tuple[int, Vectors]]:
        """Shards by number; the next few are read meanwhile, as each costs a round trip on object storage."""
        waiting: deque[tuple[int, Future[Vectors]]] = deque()
        with ThreadPoolExecutor(_NUM_READ_AHEAD) as readers:
            for index in indices:
                waiting.append((index, readers.submit(self._read, self._shards[index])))
                if len(waiting) > _NUM_READ_AHEAD:
                    yield self._finish(*waiting.popleft())
            while waiting:
                yield self._finish(*waiting.popleft())

    def _finish(self, index: int, reading: "Future[Vectors]") -> tuple[int, Vectors]:
        return int(self._ends[index]) - self._shards[index].num_vectors, reading.result()
