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


@dataclass(frozen=True, slots=True)
class Query:
    """What to retrieve for one seed."""

    text: str
    num_tokens: int
    """Tokens that its documents are to fill together."""
    document_tokens: int
    """Most tokens to take from one document."""


@dataclass(slots=True)
class _Match:
    """A document that hits fell into."""

    ordinal: int
    score: float
    hits: list[int] = field(default_factory=list)
    """Rows of its passages that were found, best first."""
    run: range = field(default_factory=lambda: range(0))
    """Rows that are taken of it."""


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

        A document that is longer than `document_tokens` is cut to a run of its passages around the best one (which is
        taken even if it alone is longer). There are as many documents as it takes to fill `num_tokens`; fewer tokens
        come back only when the whole corpus does not have them. A query's answer does not depend on its batch.
        """
        if not queries:
            return []
        vectors = self._embedder.embed_queries([query.text for query in queries])
        num_results = np.array([self._first_num_results(query) for query in queries])
        matches: list[list[_Match]] = [[] for _ in queries]
        open_queries = np.arange(len(queries))
        while len(open_queries):
            still_open = []
            # Apart by depth: how many lists an inverted file visits for a query depends on it.
            for depth in np.unique(num_results[open_queries]).tolist():
                group = open_queries[num_results[open_queries] == depth]
                hits = self._index.search(vectors[group], depth)
                for number, rows, scores in zip(group.tolist(), hits.rows, hits.scores, strict=True):
                    matches[number] = self._match(rows, scores)
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

    def _match(self, rows: npt.NDArray[np.int64], scores: npt.NDArray[np.float32]) -> list[_Match]:
        """Hits by document, in the order of each document's best."""
        rows = rows[rows >= 0]
        matches: dict[int, _Match] = {}
        for ordinal, row, score in zip(
            self._store.documents_of(rows).tolist(), rows.tolist(), scores.tolist(), strict=False
        ):
            matches.setdefault(ordinal, _Match(ordinal, score)).hits.append(row)
        return list(matches.values())

    def _fill(self, query: Query, matches: list[_Match]) -> bool:
        """Choose each document's run until the query is filled, drop the other documents, and tell if it is."""
        num_tokens = 0
        for number, match in enumerate(matches):
            first_row, end_row = self._store.document_rows(match.ordinal)
            match.run = choose_run(
                self._store.num_tokens, first_row, end_row, match.hits, query.document_tokens
            )
            num_tokens += int(self._store.num_tokens[match.run.start : match.run.stop].sum())
            if num_tokens >= query.num_tokens:
                del matches[number + 1 :]
                return True
        return False

    def _read(self, matches: list[list[_Match]]) -> list[list[ContextDocument]]:
        passages = self._store.read(row for found in matches for match in found for row in match.run)
        return [
            [
                ContextDocument(
                    document_id=passages[match.run.start].document_id,
                    title=self._store.title(match.ordinal),
                    passages=[passages[row] for row in match.run],
                    score=match.score,
                )
                for match in found
            ]
            for found in matches
        ]


def choose_run(
    num_tokens: npt.NDArray[np.int32], first_row: int, end_row: int, hits: Sequence[int], max_tokens: int
) -> range:
    """Rows of one document to take: all if they fit, else a run that grows around the best hit.

    It grows towards the best other hit that can still be reached, and where there is none, evenly to both sides.

    Args:
        num_tokens: Tokens of every row.
        first_row: The document's first row.
        end_row: The row after its last.
        hits: Rows of the index that were found, best first.
        max_tokens: Most tokens of the run; the best hit is taken in any case.
    """
    tokens = np.asarray(num_tokens[first_row:end_row], dtype=np.int64)
    ends = np.cumsum(tokens)
    if ends[-1] <= max_tokens:
        return range(first_row, end_row)

    def fits(low: int, high: int) -> bool:
        return bool(ends[high] - ends[low] + tokens[low] <= max_tokens)

    best, *others = (row - first_row for row in hits)
    low = high = best
    for hit in others:
        # A hit out of reach is left; a later one that is nearer may do.
        if fits(min(low, hit), max(high, hit)):
            low, high = min(low, hit), max(high, hit)
    while True:
        after = high + 1 < len(tokens) and fits(low, high + 1)
        before = low > 0 and fits(low - 1, high)
        if after and (not before or high - best <= best - low):
            high += 1
        elif before:
            low -= 1
        else:
            return range(first_row + low, first_row + high + 1)
