"""The tiles of the causal attention matrix that a ring rank computes with the keys that have reached it.

A chunk's queries and its own keys are causal, document by document. With an earlier chunk's keys they share at most
one document, the one that reaches over all chunk borders between: one dense tile, and no mask.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Tile:
    """A part of the local queries against a part of the keys that a ring rank sent, both as `[start, stop)`."""

    queries: tuple[int, int]
    keys: tuple[int, int]
    boundaries: tuple[int, ...] | None = None
    """Documents of a causal tile, counted from its own start; nothing for a dense one."""


def tiles_of(
    ring_rank: int, source_rank: int, ring_size: int, padded_tokens: int, boundaries: Sequence[int]
) -> list[Tile]:
    """Tiles of `ring_rank`'s queries against `source_rank`'s keys.

    Args:
        ring_rank: Rank that holds the queries.
        source_rank: Rank that holds the keys.
        ring_size: Ranks of the ring, at least 2.
        padded_tokens: Length of the whole sequence.
        boundaries: Starts of the sequence's documents and its end, `[0, ..., padded_tokens]`.
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
                tile = _dense_tile(query_chunk * chunk, key_chunk * chunk, chunk, boundaries)
            if tile is not None:
                tiles.append(_shifted(tile, query_place * chunk, key_place * chunk))
    return tiles


def _causal_tile(start: int, chunk: int, boundaries: Sequence[int]) -> Tile:
    inside = [place - start for place in boundaries if start < place < start + chunk]
    return Tile((0, chunk), (0, chunk), (0, *inside, chunk))


def _dense_tile(query_start: int, key_start: int, chunk: int, boundaries: Sequence[int]) -> Tile | None:
    document = bisect_right(boundaries, key_start + chunk - 1) - 1
    begin, end = boundaries[document], boundaries[document + 1]
    if end <= query_start:
        return None
    return Tile((0, min(end - query_start, chunk)), (max(begin - key_start, 0), chunk))


def _shifted(tile: Tile, by_queries: int, by_keys: int) -> Tile:
    queries = (tile.queries[0] + by_queries, tile.queries[1] + by_queries)
    keys = (tile.keys[0] + by_keys, tile.keys[1] + by_keys)
    return Tile(queries, keys, tile.boundaries)
