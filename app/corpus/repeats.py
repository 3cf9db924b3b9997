"""Finds duplicates in the whole corpus: runs `app.corpus.dedup` over the scanned shards, in tasks.

Every document leaves a sketch: its place in the corpus, its id as a number, one hash a band, its signature. A
task looks at one of these hash columns, or at a share of its values when the corpus is large, and writes edges;
one task resolves all edges. A task holds 16 bytes for each document of its share, and the signatures of those
that meet in a bucket.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from app.config import DedupConfig
from app.corpus.dedup import (
    Edges,
    Orders,
    band_hashes,
    exact_edges,
    lsh_bands,
    near_edges,
    resolve_edges,
    shared_buckets,
    signature,
)
from app.corpus.shards import CorpusLayout
from app.schema import Document

DOCUMENTS_PER_TASK = 4_000_000
_EXACT_COLUMN = "exact"
_REPEATS_FILE = "repeats.parquet"
_REPEAT_GROUP_ROWS = 65_536

SCAN_SCHEMA = pa.schema(
    [
        ("document_id", pa.string()),
        ("text", pa.large_string()),
        ("title", pa.string()),
        ("source", pa.string()),
        ("line", pa.int64()),
    ]
)
_EDGE_SCHEMA = pa.schema([("first", pa.int64()), ("later", pa.int64())])
_REPEAT_SCHEMA = pa.schema([("order", pa.int64()), ("reason", pa.string()), ("document_id", pa.string())])


@dataclass(frozen=True, slots=True)
class Repeat:
    """Why a document is left out as a repeat."""

    reason: str
    document_id: str
    """The document that it repeats."""


@dataclass(frozen=True, slots=True)
class EdgeTask:
    """One share of the search for edges: the values of a hash column that are `share` modulo `num_shares`."""

    column: str
    share: int
    num_shares: int

    @property
    def file_name(self) -> str:
        return f"edges-{self.column}-{self.share:04d}.parquet"


def sketch_schema(settings: DedupConfig) -> pa.Schema:
    """Columns of a sketch: the cheap ones that every task reads, then the signature."""
    bands = [(column, pa.uint64()) for column in _hash_columns(settings)]
    signatures = [("signature", pa.binary(4 * settings.num_permutations))] if settings.near else []
    return pa.schema([("order", pa.int64()), ("document_id", pa.string()), *bands, *signatures])


def sketch_row(order: int, document: Document, settings: DedupConfig) -> tuple[object, ...]:
    """A document's sketch, its values in the order of `sketch_schema`."""
    exact = (order, document.document_id, int(document.document_id, 16))
    if not settings.near:
        return exact
    values = signature(document.text, settings.num_permutations, settings.shingle_words)
    bands = band_hashes(values, *lsh_bands(settings.threshold, settings.num_permutations))
    return (*exact, *bands, values.astype("<u4").tobytes())


def plan_edge_tasks(num_documents: int, settings: DedupConfig) -> list[EdgeTask]:
    """Tasks of which each holds about `DOCUMENTS_PER_TASK` documents' hashes."""
    num_shares = -(-num_documents // DOCUMENTS_PER_TASK)
    return [
        EdgeTask(column, share, num_shares)
        for column in _hash_columns(settings)
        for share in range(num_shares)
    ]


def find_edges(task: EdgeTask, layout: CorpusLayout, settings: DedupConfig) -> None:
    """Write the edges that one task finds; at once if that is done."""
    if layout.scan.exists(task.file_name):
        return
    parts = []
    for name in _sketch_names(layout):
        table = layout.scan.read_table(name, ["order", task.column])
        orders, hashes = table["order"].to_numpy(), table[task.column].to_numpy()
        mine = hashes % np.uint64(task.num_shares) == task.share
        parts.append((orders[mine], hashes[mine]))
    orders = np.concatenate([part[0] for part in parts])
    hashes = np.concatenate([part[1] for part in parts])
    if task.column == _EXACT_COLUMN:
        edges = exact_edges(orders, hashes)
    else:
        members = shared_buckets(orders, hashes)
        signatures = _read_signatures(layout, members, settings.num_permutations)
        edges = near_edges(orders, hashes, members, signatures, settings.threshold)
    layout.scan.write_table(task.file_name, pa.Table.from_arrays(list(edges.T), schema=_EDGE_SCHEMA))


def resolve_repeats(tasks: list[EdgeTask], layout: CorpusLayout) -> None:
    """Write the documents that repeat others, with the ids of those; at once if that is done."""
    if layout.scan.exists(_REPEATS_FILE):
        return
    exact, near = [np.empty((0, 2), dtype=np.int64)], [np.empty((0, 2), dtype=np.int64)]
    for task in tasks:
        table = layout.scan.read_table(task.file_name)
        found: Edges = np.column_stack([table["first"].to_numpy(), table["later"].to_numpy()])
        (exact if task.column == _EXACT_COLUMN else near).append(found)
    same_as_earlier = np.unique(np.concatenate(exact)[:, 1])
    dropped, survivors = resolve_edges(np.concatenate(exact + near))
    is_exact = np.isin(dropped, same_as_earlier)
    # An exact repeat is one of its own id, whatever became of the first document of that id.
    repeated_ids = _read_ids(layout, np.where(is_exact, dropped, survivors))
    table = pa.Table.from_arrays(
        [pa.array(dropped), pa.array(_reasons(is_exact)), pa.array(repeated_ids, pa.string())],
        schema=_REPEAT_SCHEMA,
    )
    layout.scan.write_table(_REPEATS_FILE, table, _REPEAT_GROUP_ROWS)


def read_repeats(layout: CorpusLayout, first_order: int, num_documents: int) -> dict[int, Repeat]:
    """The repeats among `num_documents` documents from a place on, by their places in the corpus."""
    table = pq.read_table(
        layout.scan.file(_REPEATS_FILE),
        filesystem=layout.scan.filesystem,
        filters=[("order", ">=", first_order), ("order", "<", first_order + num_documents)],
    )
    return {row["order"]: Repeat(row["reason"], row["document_id"]) for row in table.to_pylist()}


def _hash_columns(settings: DedupConfig) -> list[str]:
    num_bands = lsh_bands(settings.threshold, settings.num_permutations)[0] if settings.near else 0
    return [_EXACT_COLUMN, *(f"band_{index:02d}" for index in range(num_bands))]


def _reasons(is_exact: npt.NDArray[np.bool_]) -> list[str]:
    return np.where(is_exact, "exact duplicate", "near duplicate").tolist()


def _sketch_names(layout: CorpusLayout) -> list[str]:
    return [name for name in layout.scan.list_names(".parquet") if name.startswith("sketch-")]


def _read_signatures(layout: CorpusLayout, members: Orders, num_permutations: int) -> npt.NDArray[np.uint32]:
    rows = np.empty((len(members), num_permutations), dtype=np.uint32)
    for stretch, table in _read_chosen(layout, members, "signature"):
        values = b"".join(table["signature"].to_pylist())
        rows[stretch] = np.frombuffer(values, dtype="<u4").reshape(-1, num_permutations)
    return rows


def _read_ids(layout: CorpusLayout, orders: Orders) -> list[str]:
    """Ids of documents, whose places may be unordered and repeated."""
    members, which = np.unique(orders, return_inverse=True)
    ids = np.empty(len(members), dtype=object)
    for stretch, table in _read_chosen(layout, members, "document_id"):
        ids[stretch] = table["document_id"].to_pylist()
    return ids[which].tolist()


def _read_chosen(layout: CorpusLayout, members: Orders, column: str) -> Iterator[tuple[slice, pa.Table]]:
    """From each shard that has any, the rows of the chosen documents and which stretch of `members` they are."""
    for name in _sketch_names(layout):
        orders = layout.scan.read_table(name, ["order"])["order"].to_numpy()
        if not len(orders):
            continue
        # A shard's orders are consecutive, so that an order tells the row.
        start, stop = np.searchsorted(members, [orders[0], orders[-1] + 1])
        if stop > start:
            table = layout.scan.read_table(name, [column]).take(members[start:stop] - orders[0])
            yield slice(int(start), int(stop)), table
