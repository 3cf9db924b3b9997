"""Queries → ranked, deduplicated documents, enough to fill a context."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from app.retrieval.embedder import Embedder
from app.retrieval.index import SearchIndex
from app.retrieval.passages import PassageStore
from app.schema import ContextDocument

# Most queries are filled by the first search: every hit brings its own passage at least.
_FIRST_RESULTS_FACTOR = 1.5
_MIN_RESULTS = 16
_GROWTH = 4
MAX_RUNS = 4
"""Most stretches of a document that is longer than what may be taken of it."""
_HITS_SHARE = 0.75
"""Of a document's tokens that may be spent on its hits; the rest is what stands around them."""


@dataclass(frozen=True, slots=True)
class Query:
    """What to retrieve for one seed."""

    text: str
    num_tokens: int
    """Tokens that its documents are to fill together."""
    document_tokens: int
    """Most tokens to take from one document."""
    anchors: tuple[str, ...] = ()
    """Ids of passages that are taken in any case; their documents come first."""


@dataclass(slots=True)
class _Match:
    """A document that hits fell into."""

    ordinal: int
    score: float
    hits: list[int] = field(default_factory=list)
    """Rows of its passages that were found, best first; anchors stand before them."""
    num_anchors: int = 0
    runs: list[range] = field(default_factory=list)
    """Rows that are taken of it."""

    @property
    def rows(self) -> list[int]:
        return [row for run in self.runs for row in run]


class Retriever:
    """Answers batches of queries. Not for several threads at once."""

    def __init__(self, embedder: Embedder, index: SearchIndex, store: PassageStore) -> None:
        assert index.num_vectors == store.num_rows, (
            f"{index.num_vectors} vectors for {store.num_rows} passages"
        )
        self._embedder = embedder
        self._index = index
        self._store = store
        self._mean_passage_tokens = max(1.0, float(np.mean(store.num_tokens)))

    def retrieve(self, queries: Sequence[Query]) -> list[list[ContextDocument]]:
        """Documents of each query by the score of their best passage, no document twice.

        A document that is longer than `document_tokens` is cut to a few runs of its passages around the best ones (the
        best is taken even if it alone is longer). The documents of `anchors` come first, with these passages. There are
        as many documents as it takes to fill `num_tokens`; fewer tokens come back only when the whole corpus does not
        have them. A query's answer does not depend on its batch.
        """
        if not queries:
            return []
        vectors = self._embedder.embed_queries([query.text for query in queries])
        num_results = np.array([self._first_num_results(query) for query in queries])
        anchors = [[self._store.row_of(name) for name in query.anchors] for query in queries]
        matches: list[list[_Match]] = [[] for _ in queries]
        open_queries = np.arange(len(queries))
        while len(open_queries):
            still_open = []
            # Apart by depth: how many lists an inverted file visits for a query depends on it.
            for depth in np.unique(num_results[open_queries]).tolist():
                group = open_queries[num_results[open_queries] == depth]
                hits = self._index.search(vectors[group], depth)
                for number, rows, scores in zip(group.tolist(), hits.rows, hits.scores, strict=True):
                    matches[number] = self._match(anchors[number], rows, scores)
                    if not self._fill(queries[number], matches[number]) and depth < self._index.num_vectors:
                        still_open.append(number)
            open_queries = np.array(still_open, dtype=np.int64)
            num_results[open_queries] = np.minimum(
                num_results[open_queries] * _GROWTH, self._index.num_vectors
            )
        return self._read(matches)

    def _first_num_results(self, query: Query) -> int:
        """How many hits to fetch first. It depends only on the query, so that its batch does not change its result."""
        wanted = math.ceil(_FIRST_RESULTS_FACTOR * query.num_tokens / self._mean_passage_tokens)
        return min(max(wanted, _MIN_RESULTS), self._index.num_vectors)

    def _match(
        self, anchors: list[int], rows: npt.NDArray[np.int64], scores: npt.NDArray[np.float32]
    ) -> list[_Match]:
        """Documents of the anchors, then hits by document, in the order of each document's best.

        A document of anchors has the score of its best hit, or of the worst one of all when the search missed it.
        """
        rows = rows[rows >= 0]
        matches: dict[int, _Match] = {}
        lowest = float(scores[len(rows) - 1]) if len(rows) else 0.0
        for row in dict.fromkeys(anchors):
            ordinal = int(self._store.documents_of(np.array([row]))[0])
            match = matches.setdefault(ordinal, _Match(ordinal, lowest))
            match.hits.append(row)
            match.num_anchors += 1
        for ordinal, row, score in zip(
            self._store.documents_of(rows).tolist(), rows.tolist(), scores.tolist(), strict=False
        ):
            match = matches.setdefault(ordinal, _Match(ordinal, score))
            match.score = max(match.score, score)
            if row not in match.hits[: match.num_anchors]:
                match.hits.append(row)
        return list(matches.values())

    def _fill(self, query: Query, matches: list[_Match]) -> bool:
        """Choose each document's runs until the query is filled, drop the other documents, and tell if it is."""
        num_tokens = 0
        for number, match in enumerate(matches):
            first_row, end_row = self._store.document_rows(match.ordinal)
            match.runs = choose_runs(
                self._store.num_tokens,
                first_row,
                end_row,
                match.hits,
                query.document_tokens,
                match.num_anchors,
            )
            num_tokens += int(self._store.num_tokens[match.rows].sum())
            if num_tokens >= query.num_tokens:
                del matches[number + 1 :]
                return True
        return False

    def _read(self, matches: list[list[_Match]]) -> list[list[ContextDocument]]:
        passages = self._store.read(row for found in matches for match in found for row in match.rows)
        return [
            [
                ContextDocument(
                    document_id=passages[match.rows[0]].document_id,
                    title=self._store.title(match.ordinal),
                    passages=[passages[row] for row in match.rows],
                    score=match.score,
                )
                for match in found
            ]
            for found in matches
        ]


def choose_runs(
    num_tokens: npt.NDArray[np.int32],
    first_row: int,
    end_row: int,
    hits: Sequence[int],
    max_tokens: int,
    num_anchors: int = 0,
) -> list[range]:
    """Rows of one document to take: all if they fit, else a few runs that grow around the best hits.

    One run around the best hit alone would miss, in a long document, the passage that the query is about as soon as
    another one ranks before it. The runs grow in turns, each evenly to both sides; where two meet, they are one.

    Args:
        num_tokens: Tokens of every row.
        first_row: The document's first row.
        end_row: The row after its last.
        hits: Rows of the index that were found, best first.
        max_tokens: Most tokens of all runs; the anchors, or else the best hit, are taken in any case.
        num_anchors: The first of the hits are so many anchors.
    """
    tokens = np.asarray(num_tokens[first_row:end_row], dtype=np.int64)
    if tokens.sum() <= max_tokens:
        return [range(first_row, end_row)]
    runs: list[_Run] = []
    taken = np.zeros(len(tokens), dtype=bool)
    left = max_tokens
    most_runs = max(MAX_RUNS, num_anchors)
    for number, row in enumerate(hit - first_row for hit in hits):
        spent = max_tokens - left + int(tokens[row])
        is_wanted = number < max(num_anchors, 1) or spent <= _HITS_SHARE * max_tokens
        if is_wanted and len(runs) < most_runs and not taken[row]:
            runs.append(_Run(row, row, row))
            taken[row] = True
            left -= int(tokens[row])
    growing = list(runs)
    while growing:
        for run in list(growing):
            neighbour = run.next_row(~taken & (tokens <= left))
            if neighbour is None:
                growing.remove(run)
                continue
            run.low, run.high = min(run.low, neighbour), max(run.high, neighbour)
            taken[neighbour] = True
            left -= int(tokens[neighbour])
    edges = np.flatnonzero(np.diff(taken.astype(np.int8), prepend=0, append=0))
    return [
        range(first_row + int(low), first_row + int(high))
        for low, high in zip(edges[::2], edges[1::2], strict=True)
    ]


@dataclass(slots=True)
class _Run:
    """Rows `low` to `high` of a document, grown around `best`."""

    best: int
    low: int
    high: int

    def next_row(self, is_free: npt.NDArray[np.bool_]) -> int | None:
        """The neighbour to take next: what follows first, then the shorter side."""
        after = self.high + 1 < len(is_free) and is_free[self.high + 1]
        before = self.low > 0 and is_free[self.low - 1]
        if after and (not before or self.high - self.best <= self.best - self.low):
            return self.high + 1
        return self.low - 1 if before else None
