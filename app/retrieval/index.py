"""The FAISS index: built from shards of vectors, stored so that it can be memory-mapped, searched."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import numpy as np
import numpy.typing as npt
import pyarrow.fs as pafs

from app.config import RetrievalConfig
from app.faults import UserError
from app.retrieval.embedder import Vectors
from app.retrieval.vectors import Rows, VectorShards
from app.storage import Folder

INDEX_FILE = "index.faiss"

# From this many queries on FAISS multiplies matrices, whose last bits depend on the batch: never.
_NEVER = 1_000_000_000

ToGpus = Callable[[Any], Any]


class Hits(NamedTuple):
    """Results of a search, best first; empty places hold row -1."""

    scores: npt.NDArray[np.float32]
    """`[num_queries, num_results]` inner products."""
    rows: Rows
    """`[num_queries, num_results]`"""


def create_index(config: RetrievalConfig, num_vectors: int, dim: int) -> Any:
    """Empty index of `retrieval.index_factory`, inner product.

    Raises:
        UserError: FAISS can't make it, or there are too few vectors to train it.
    """
    factory = config.index_factory
    try:
        index = faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise UserError(
            f"retrieval.index_factory: {factory!r} can't be built for vectors of size {dim} ({reason}); "
            f"use a FAISS factory string such as `Flat` or `IVF4096,PQ64` (PQ must divide {dim})"
        ) from error
    needed = _num_training_vectors_needed(index)
    if num_vectors < needed:
        raise UserError(
            f"retrieval.index_factory: {factory!r} needs at least {needed:,} vectors to train, the corpus has "
            f"{num_vectors:,} passages; use {_what_fits(num_vectors)}"
        )
    if config.num_training_vectors < needed:
        raise UserError(
            f"retrieval.num_training_vectors: {config.num_training_vectors:,} is too few for "
            f"retrieval.index_factory {factory!r}; at least {needed:,}"
        )
    return index


def _num_training_vectors_needed(index: Any) -> int:
    """k-means wants a vector for every centroid: of the inverted lists, of each product quantizer."""
    inverted = _inverted_file(index)
    inner = faiss.downcast_index(inverted if inverted is not None else index)
    quantizer = getattr(inner, "pq", None)
    return max(
        1, inverted.nlist if inverted is not None else 1, quantizer.ksub if quantizer is not None else 1
    )


def _what_fits(num_vectors: int) -> str:
    # FAISS asks for 39 training vectors a list; below some lists, scanning all is as fast.
    num_lists = 2 ** int(np.log2(max(num_vectors / 39, 1)))
    return "`Flat`" if num_lists < 16 else f"`Flat`, or `IVF{num_lists},Flat` at most"


def _inverted_file(index: Any) -> Any | None:
    try:
        return faiss.extract_index_ivf(index)
    except RuntimeError:
        return None


def fill_index(
    index: Any, shards: VectorShards, config: RetrievalConfig, seed: int, to_gpus: ToGpus | None = None
) -> None:
    """Train the index on a sample and add every shard in order, so that an index row is a row of the shards.

    In memory are the index itself, the training sample (`retrieval.num_training_vectors`), and a few shards.

    Args:
        index: From `create_index`.
        shards: All vectors.
        config: How many vectors to train on.
        seed: Seed of the sample.
        to_gpus: Function that copies a FAISS index to GPUs. If omitted, FAISS's own, if FAISS has GPUs.
    """
    to_gpus = to_gpus or _gpus()
    inverted = _inverted_file(index)
    if not index.is_trained:
        sample = shards.take(shards.sample_rows(config.num_training_vectors, seed))
        if inverted is not None and to_gpus is not None:
            # k-means over the lists is what takes long; the codes may be of a kind that no GPU index has.
            # FAISS keeps no reference: `assigner` must live until the training is over.
            assigner = to_gpus(faiss.IndexFlatIP(inverted.d))
            inverted.clustering_index = assigner
        index.train(sample)
        if inverted is not None:
            inverted.clustering_index = None
    with _assigning_on(to_gpus, inverted):
        for first_row, block in shards.blocks():
            assert index.ntotal == first_row, "shards are added in order"
            index.add(block)
    assert index.ntotal == shards.num_vectors


def _gpus() -> ToGpus | None:
    # The CPU build has the function too, and answers 0.
    return faiss.index_cpu_to_all_gpus if getattr(faiss, "get_num_gpus", lambda: 0)() > 0 else None


@contextmanager
def _assigning_on(to_gpus: ToGpus | None, inverted: Any | None) -> Iterator[None]:
    """Find each vector's list on the GPUs, where the list's centroids are a kind that they know."""
    quantizer = faiss.downcast_index(inverted.quantizer) if inverted is not None else None
    if to_gpus is None or not isinstance(quantizer, faiss.IndexFlat):
        yield
        return
    on_gpus = to_gpus(quantizer)
    inverted.quantizer = on_gpus  # type: ignore[union-attr]
    try:
        yield
    finally:
        inverted.quantizer = quantizer  # type: ignore[union-attr]


def save_index(index: Any, folder: Folder) -> None:
    """Write the index: aside, then into place; where the folder is remote, through a local file.

    There it goes straight to its name, as S3 moves nothing above 5 GiB; readers wait for the record, written last.
    """
    if isinstance(folder.filesystem, pafs.LocalFileSystem):
        with folder.replace(INDEX_FILE) as aside:
            faiss.write_index(index, aside)
        return
    folder.filesystem.create_dir(folder.path, recursive=True)
    with folder.writing(INDEX_FILE), tempfile.TemporaryDirectory() as directory:
        path = str(Path(directory) / INDEX_FILE)
        faiss.write_index(index, path)
        pafs.copy_files(path, folder.file(INDEX_FILE), pafs.LocalFileSystem(), folder.filesystem)


class SearchIndex:
    """An index to search. One search at a time."""

    def __init__(self, index: Any, nprobe: int) -> None:
        faiss.cvar.distance_compute_blas_threshold = _NEVER
        self._index = index
        self._inverted = _inverted_file(index)
        self._nprobe = min(nprobe, self._inverted.nlist) if self._inverted is not None else 0
        self.num_vectors = int(index.ntotal)
        self.dim = int(index.d)

    @classmethod
    def open(cls, path: Path, factory: str, nprobe: int) -> "SearchIndex":
        """Map an index file into memory; processes on one node share its pages.

        Inverted lists are mapped by IO_FLAG_MMAP alone, all other indexes by IO_FLAG_MMAP_IFC alone (faiss#3165).
        """
        flag = faiss.IO_FLAG_MMAP if "IVF" in factory else faiss.IO_FLAG_MMAP_IFC
        return cls(faiss.read_index(str(path), flag), nprobe)

    def search(self, vectors: Vectors, num_results: int) -> Hits:
        """Best rows for each of `vectors` `[num_queries, dim]`; ties in row order.

        An inverted file visits more lists for those queries whose lists hold too few vectors, up to all of them, so
        that every query has `num_results` hits where there are so many vectors.
        """
        num_results = min(num_results, self.num_vectors)
        scores, rows = self._search(vectors, num_results, self._nprobe)
        nprobe = self._nprobe
        while self._inverted is not None and nprobe < self._inverted.nlist:
            short = np.flatnonzero(rows[:, -1] < 0)
            if not len(short):
                break
            nprobe = min(4 * nprobe, self._inverted.nlist)
            scores[short], rows[short] = self._search(vectors[short], num_results, nprobe)
        # FAISS orders equal scores as its heap left them.
        order = np.lexsort((rows, -scores), axis=1)
        return Hits(np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1))

    def _search(self, vectors: Vectors, num_results: int, nprobe: int) -> Hits:
        if self._inverted is not None:
            self._inverted.nprobe = nprobe
        return Hits(*self._index.search(vectors, num_results))
