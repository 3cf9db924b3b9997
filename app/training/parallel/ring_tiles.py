"""The tiles of the causal attention matrix that a ring rank computes with the keys that have reached it.

A chunk's queries and its own keys are causal, document by document. With an earlier chunk's keys they share at most
one document, the one that reaches over all chunk borders between: one dense tile, and no mask.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Tile:
    """A part of the local queries against a part of the keys that a ring rank sent, both as `[start, stop)`."""

    queries: tuple[int, int]
    keys: tuple[int, int]
    boundaries: tuple[int, ...] | None = None
    """Documents of a causal tile, counted from its own start; nothing for a dense one."""
    num_before: int | None = None
    """Of a dense tile: keys before a query's own place that it sees at most, as in `Segments`."""


def tiles_of(
    ring_rank: int,
    source_rank: int,
    ring_size: int,
    padded_tokens: int,
    boundaries: Sequence[int],
    window: int | None = None,
) -> list[Tile]:
    """Tiles of `ring_rank`'s queries against `source_rank`'s keys.

    Args:
        ring_rank: Rank that holds the queries.
        source_rank: Rank that holds the keys.
        ring_size: Ranks of the ring, at least 2.
        padded_tokens: Length of the whole sequence.
        boundaries: Starts of the sequence's documents and its end, `[0, ..., padded_tokens]`.
        window: Tokens that a query sees, itself included; None: all before it.
    """
    chunk = padded_tokens // (2 * ring_size)
    tiles: list[Tile] = []
    for query_place, query_chunk in enumerate((ring_rank, 2 * ring_size - 1 - ring_rank)):
        for key_place, key_chunk in enumerate((source_rank, 2 * ring_size - 1 - source_rank)):
            if key_chunk > query_chunk:
                continue
            if key_chunk == query_chunk:
                tile: Tile | None = _causal_tile(query_chunk * chunk, chunk, boundaries)
            else:
                tile = _dense_tile(query_chunk * chunk, key_chunk * chunk, chunk, boundaries, window)
            if tile is not None:
                tiles.append(_shifted(tile, query_place * chunk, key_place * chunk))
    return tiles


def _causal_tile(start: int, chunk: int, boundaries: Sequence[int]) -> Tile:
    inside = [place - start for place in boundaries if start < place < start + chunk]
    return Tile((0, chunk), (0, chunk), (0, *inside, chunk))


def _dense_tile(
    query_start: int, key_start: int, chunk: int, boundaries: Sequence[int], window: int | None
) -> Tile | None:
    document = bisect_right(boundaries, key_start + chunk - 1) - 1
    begin, end = boundaries[document], boundaries[document + 1]
    if end <= query_start:
        return None
    num_queries, first_key = min(end - query_start, chunk), max(begin - key_start, 0)
    if window is None:
        return Tile((0, num_queries), (first_key, chunk))
    # The first query's window, and the last query that has one of the keys in its own.
    first_key = max(first_key, query_start - window + 1 - key_start)
    num_queries = min(num_queries, key_start + chunk + window - 1 - query_start)
    if num_queries <= 0 or first_key >= chunk:
        return None
    num_before = chunk - num_queries - (query_start - key_start) + window - 1
    return Tile((0, num_queries), (first_key, chunk), num_before=num_before)


def _shifted(tile: Tile, by_queries: int, by_keys: int) -> Tile:
    queries = (tile.queries[0] + by_queries, tile.queries[1] + by_queries)
    keys = (tile.keys[0] + by_keys, tile.keys[1] + by_keys)
    return replace(tile, queries=queries, keys=keys)
