"""Duplicate documents: exact ones by their id, near ones by MinHash signatures that share an LSH band.

Made of pieces that run apart: a signature for each document, edges for each band, one resolution of all edges. A
document is known by its order in the corpus; it goes only if it is like an earlier one that stays.
Bands: Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", chapter 3.
"""

import hashlib
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from app.corpus.ngrams import Hashes, hash_ngrams
from app.text.words import split_words

Orders = npt.NDArray[np.int64]
"""Documents by their place in the corpus, `[num_documents]`."""
Edges = npt.NDArray[np.int64]
"""Pairs of documents that repeat each other, the earlier first, `[num_edges, 2]`."""
Signature = npt.NDArray[np.uint32]

_SIGNATURE_SEED = 1
_SHINGLES_AT_ONCE = 16_384
_NUM_PIVOTS = 8
"""Documents of a bucket that each later one is compared with, also where it is like an earlier one: that one may go."""
# Candidates are verified, so that a false one costs little and a missed one is lost.
_WEIGHTS_FALSE_AND_MISSED = (0.1, 0.9)


def signature(text: str, num_permutations: int, shingle_words: int) -> Signature:
    """MinHash signature of a text's shingles, `[num_permutations]`.

    A shingle is `shingle_words` words; of scripts without spaces, and of a text without any word, as many
    characters. A text shorter than that is one shingle.
    """
    return minhash_of(shingles_of(text, shingle_words), num_permutations)


def shingles_of(text: str, shingle_words: int) -> Hashes:
    """Hashes of a text's shingles, each once, ascending."""
    words = split_words(text) or list("".join(text.split())) or [text]
    return np.unique(hash_ngrams(words, min(shingle_words, len(words))))


def minhash_of(hashes: Hashes, num_permutations: int) -> Signature:
    """`signature` of a text whose shingles are known."""
    shingles = np.unique(hashes & np.uint64(0xFFFFFFFF))
    minhash = _empty_minhash(num_permutations).copy()
    for start in range(0, len(shingles), _SHINGLES_AT_ONCE):
        minhash.update_batch(shingles[start : start + _SHINGLES_AT_ONCE].tolist())
    return np.asarray(minhash.hashvalues, dtype=np.uint32)


@lru_cache(maxsize=64)
def lsh_bands(threshold: float, num_permutations: int) -> tuple[int, int]:
    """Number of bands and values in each: datasketch's optimum for the threshold, misses weighed 9 to 1."""
    from datasketch import MinHashLSH

    try:
        lsh = MinHashLSH(threshold=threshold, num_perm=num_permutations, weights=_WEIGHTS_FALSE_AND_MISSED)
    except ValueError:
        # It knows no optimum of fewer than two bands, which is what a threshold near 1.0 asks for.
        return 1, num_permutations
    return lsh.b, lsh.r


def band_hashes(values: Signature, num_bands: int, band_size: int) -> list[int]:
    """One 64-bit hash for each band of a signature."""
    bands = values[: num_bands * band_size].astype("<u4").reshape(num_bands, band_size)
    return [
        int.from_bytes(hashlib.blake2b(band.tobytes(), digest_size=8).digest(), "little") for band in bands
    ]


def exact_edges(orders: Orders, ids: npt.NDArray[np.uint64]) -> Edges:
    """Edges from the first document of each id to all others of that id."""
    edges = [
        np.column_stack([np.full(len(bucket) - 1, bucket[0]), bucket[1:]]) for bucket in _buckets(orders, ids)
    ]
    return np.concatenate(edges) if edges else np.empty((0, 2), dtype=np.int64)


def shared_buckets(orders: Orders, hashes: npt.NDArray[np.uint64]) -> Orders:
    """Documents, ascending, that share their band's hash with another: only their signatures are needed."""
    buckets = _buckets(orders, hashes)
    return np.sort(np.concatenate(buckets)) if buckets else np.empty(0, dtype=np.int64)


def near_edges(
    orders: Orders,
    hashes: npt.NDArray[np.uint64],
    members: Orders,
    signatures: npt.NDArray[np.uint32],
    threshold: float,
) -> Edges:
    """Edges between documents of one bucket whose estimated Jaccard similarity reaches the threshold.

    Each document is compared with the first ones of its bucket, and with those that are like no document before them.

    Args:
        orders: All documents of the band, `[num_documents]`.
        hashes: Their hash in this band, `[num_documents]`.
        members: `shared_buckets` of these two.
        signatures: Signatures of the members, `[num_members, num_permutations]`.
        threshold: Least share of equal signature values.
    """
    edges: list[Edges] = [np.empty((0, 2), dtype=np.int64)]
    for bucket in _buckets(orders, hashes):
        rows = signatures[np.searchsorted(members, bucket)]
        is_like_earlier = np.zeros(len(bucket), dtype=np.bool_)
        for index, first in enumerate(bucket[:-1], start=1):
            if index > _NUM_PIVOTS and is_like_earlier[index - 1]:
                continue
            is_like = (rows[index:] == rows[index - 1]).mean(axis=1) >= threshold
            later = bucket[index:][is_like]
            edges.append(np.column_stack([np.full(len(later), first), later]))
            is_like_earlier[index:] |= is_like
    return np.concatenate(edges)


def resolve_edges(edges: Edges) -> tuple[Orders, Orders]:
    """The documents to drop, ascending, and for each the first of those that it is like and that stay."""
    nodes, ends = np.unique(edges, return_inverse=True)
    pairs = np.unique(ends.reshape(-1, 2)[:, ::-1], axis=0)
    survivors = np.full(len(nodes), -1)
    for later, first in pairs.tolist():
        # In the order of the later one, so that it is known whether the first stays.
        if survivors[later] < 0 and survivors[first] < 0:
            survivors[later] = first
    dropped = np.flatnonzero(survivors >= 0)
    return nodes[dropped], nodes[survivors[dropped]]


def _buckets(orders: Orders, hashes: npt.NDArray[np.uint64]) -> list[Orders]:
    """Groups of two and more documents with one hash, each ascending."""
    ranking = np.lexsort((orders, hashes))
    ranked_hashes, ranked_orders = hashes[ranking], orders[ranking]
    starts = np.flatnonzero(np.r_[True, ranked_hashes[1:] != ranked_hashes[:-1]])
    ends = np.r_[starts[1:], len(orders)]
    is_shared = ends - starts > 1
    pairs = zip(starts[is_shared], ends[is_shared], strict=True)
    return [ranked_orders[start:end] for start, end in pairs]


@lru_cache(maxsize=4)
def _empty_minhash(num_permutations: int) -> Any:
    from datasketch import MinHash

    return MinHash(num_perm=num_permutations, seed=_SIGNATURE_SEED, hashfunc=int)
