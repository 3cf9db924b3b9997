"""Finds duplicates in the whole corpus: runs `app.corpus.dedup` over the scanned shards, in tasks.

Every document leaves a sketch: its place in the corpus, its id as a number, one hash a band, its signature; and, in
a file of their own, samples of its shingles. A task looks at one of these hash columns, or at a share of its values
when the corpus is large, and writes edges; one task resolves all edges. A task holds 16 bytes for each document of its
share, and the signatures of those that meet in a bucket.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from app.config import DedupConfig
from app.corpus.containment import add_up, count_shared, resolve_contained, sample_of
from app.corpus.dedup import (
    Edges,
    Orders,
    band_hashes,
    exact_edges,
    lsh_bands,
    minhash_of,
    near_edges,
    resolve_edges,
    shared_buckets,
    shingles_of,
)
from app.corpus.shards import CorpusLayout
from app.schema import DOCUMENT_SCHEMA, Document

DOCUMENTS_PER_TASK = 4_000_000
SAMPLED_DOCUMENTS_PER_TASK = 500_000
"""A document has one sample for 64 words."""
_EXACT_COLUMN, _SAMPLE_COLUMN = "exact", "sample"
_REPEATS_FILE = "repeats.parquet"
_REPEAT_GROUP_ROWS = 65_536

SCAN_SCHEMA = pa.schema([field for field in DOCUMENT_SCHEMA if field.name != "num_tokens"])
SAMPLE_SCHEMA = pa.schema([("order", pa.int64()), (_SAMPLE_COLUMN, pa.uint64())])
_PAIR_SCHEMA = pa.schema([("first", pa.int64()), ("later", pa.int64()), ("num_shared", pa.int64())])
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
    samples = [("num_samples", pa.int64())]
    signatures = [("signature", pa.binary(4 * settings.num_permutations))] if settings.near else []
    return pa.schema([("order", pa.int64()), ("document_id", pa.string()), *bands, *samples, *signatures])


def sketch_row(order: int, document: Document, settings: DedupConfig) -> tuple[tuple[object, ...], list[int]]:
    """A document's sketch, its values in the order of `sketch_schema`, and its samples."""
    shingles = (
        shingles_of(document.text, settings.shingle_words) if settings.near or settings.contained else None
    )
    samples = sample_of(shingles).tolist() if shingles is not None and settings.contained else []
    exact = (order, document.document_id, int(document.document_id, 16))
    if shingles is None or not settings.near:
        return (*exact, len(samples)), samples
    values = minhash_of(shingles, settings.num_permutations)
    bands = band_hashes(values, *lsh_bands(settings.threshold, settings.num_permutations))
    return (*exact, *bands, len(samples), values.astype("<u4").tobytes()), samples


def plan_edge_tasks(num_documents: int, settings: DedupConfig) -> list[EdgeTask]:
    """Tasks of which each holds about `DOCUMENTS_PER_TASK` documents' hashes."""
    tasks = []
    for column in [*_hash_columns(settings), *([_SAMPLE_COLUMN] if settings.contained else [])]:
        per_task = SAMPLED_DOCUMENTS_PER_TASK if column == _SAMPLE_COLUMN else DOCUMENTS_PER_TASK
        num_shares = -(-num_documents // per_task)
        tasks += [EdgeTask(column, share, num_shares) for share in range(num_shares)]
    return tasks


def find_edges(task: EdgeTask, layout: CorpusLayout, settings: DedupConfig) -> None:
    """Write the edges that one task finds; at once if that is done."""
    if layout.scan.exists(task.file_name):
        return
    parts = []
    for name in _names(layout, "samples-" if task.column == _SAMPLE_COLUMN else "sketch-"):
        table = layout.scan.read_table(name, ["order", task.column])
        orders, hashes = table["order"].to_numpy(), table[task.column].to_numpy()
        # Samples are all multiples of one number.
        mine = (hashes >> np.uint64(8)) % np.uint64(task.num_shares) == task.share
        parts.append((orders[mine], hashes[mine]))
    orders = np.concatenate([part[0] for part in parts])
    hashes = np.concatenate([part[1] for part in parts])
    if task.column == _SAMPLE_COLUMN:
        pairs, num_shared = count_shared(orders, hashes)
        table = pa.Table.from_arrays([*pairs.T, num_shared], schema=_PAIR_SCHEMA)
        layout.scan.write_table(task.file_name, table)
        return
    if task.column == _EXACT_COLUMN:
        edges = exact_edges(orders, hashes)
    else:
        members = shared_buckets(orders, hashes)
        signatures = _read_signatures(layout, members, settings.num_permutations)
        edges = near_edges(orders, hashes, members, signatures, settings.threshold)
    layout.scan.write_table(task.file_name, pa.Table.from_arrays(list(edges.T), schema=_EDGE_SCHEMA))


def resolve_repeats(tasks: list[EdgeTask], layout: CorpusLayout, settings: DedupConfig) -> None:
    """Write the documents that repeat others, with the ids of those; at once if that is done."""
    if layout.scan.exists(_REPEATS_FILE):
        return
    found: dict[str, list[Edges]] = {"exact": [], "near": [], "sample": []}
    shared = [np.empty(0, dtype=np.int64)]
    for task in tasks:
        table = layout.scan.read_table(task.file_name)
        kind = task.column if task.column in found else "near"
        found[kind].append(np.column_stack([table["first"].to_numpy(), table["later"].to_numpy()]))
        if kind == "sample":
            shared.append(table["num_shared"].to_numpy())
    edges = {
        kind: np.concatenate([np.empty((0, 2), dtype=np.int64), *parts]) for kind, parts in found.items()
    }
    firsts, copies = _by_later(edges["exact"])
    # A copy is its first: as like others as that one, and gone itself.
    near = _replace(edges["near"], copies, firsts)
    near_dropped, near_survivors = resolve_edges(np.sort(near[near[:, 0] != near[:, 1]], axis=1))
    pairs, num_shared = add_up(edges["sample"], np.concatenate(shared))
    stays = ~np.isin(pairs, np.concatenate([copies, near_dropped])).any(axis=1)
    pairs, num_shared = pairs[stays], num_shared[stays]
    num_samples = _read_column(layout, pairs.ravel(), "num_samples").astype(np.int64).reshape(-1, 2)
    contained, holders = resolve_contained(pairs, num_shared, num_samples, settings.threshold)
    parts = [
        (copies, "exact duplicate", copies),
        (near_dropped, "near duplicate", near_survivors),
        (contained, "contained in another", holders),
    ]
    orders = np.concatenate([part[0] for part in parts])
    reasons = np.repeat([part[1] for part in parts], [len(part[0]) for part in parts])
    repeated_ids = _read_column(layout, np.concatenate([part[2] for part in parts]), "document_id")
    ranking = np.argsort(orders)
    table = pa.Table.from_arrays(
        [
            pa.array(orders[ranking]),
            pa.array(reasons[ranking].tolist(), pa.string()),
            pa.array(repeated_ids[ranking].tolist(), pa.string()),
        ],
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


def _by_later(edges: Edges) -> tuple[Orders, Orders]:
    """First and later ends of edges, by the later ones, each of which has one."""
    edges = edges[np.argsort(edges[:, 1])]
    return edges[:, 0], edges[:, 1]


def _replace(edges: Edges, olds: Orders, news: Orders) -> Edges:
    """Edges with other ends; `olds` ascends."""
    if not len(olds):
        return edges
    places = np.minimum(np.searchsorted(olds, edges), len(olds) - 1)
    return np.where(olds[places] == edges, news[places], edges)


def _names(layout: CorpusLayout, prefix: str) -> list[str]:
    return [name for name in layout.scan.list_names(".parquet") if name.startswith(prefix)]


def _read_signatures(layout: CorpusLayout, members: Orders, num_permutations: int) -> npt.NDArray[np.uint32]:
    rows = np.empty((len(members), num_permutations), dtype=np.uint32)
    for stretch, table in _read_chosen(layout, members, "signature"):
        values = b"".join(table["signature"].to_pylist())
        rows[stretch] = np.frombuffer(values, dtype="<u4").reshape(-1, num_permutations)
    return rows


def _read_column(layout: CorpusLayout, orders: Orders, column: str) -> npt.NDArray[Any]:
    """A column of the documents' sketches; their places may be unordered and repeated."""
    members, which = np.unique(orders, return_inverse=True)
    values = np.empty(len(members), dtype=object)
    for stretch, table in _read_chosen(layout, members, column):
        values[stretch] = table[column].to_pylist()
    return values[which]


def _read_chosen(layout: CorpusLayout, members: Orders, column: str) -> Iterator[tuple[slice, pa.Table]]:
    """From each shard that has any, the rows of the chosen documents and which stretch of `members` they are."""
    for name in _names(layout, "sketch-"):
        orders = layout.scan.read_table(name, ["order"])["order"].to_numpy()
        if not len(orders):
            continue
        # A shard's orders are consecutive, so that an order tells the row.
        start, stop = np.searchsorted(members, [orders[0], orders[-1] + 1])
        if stop > start:
            table = layout.scan.read_table(name, [column]).take(members[start:stop] - orders[0])
            yield slice(int(start), int(stop)), table
