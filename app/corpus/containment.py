"""Documents that stand in a longer one: a part beside its anthology, whose Jaccard similarity is small.

A document leaves those of its shingles whose hash is a multiple of `SAMPLING` (FracMinHash: Irber et al., "Lightweight
compositional analysis of metagenomes with FracMinHash", bioRxiv 2022.01.11.475838): of any two documents the same
shingles are chosen, so that the share of the shorter one's that the longer one has too estimates how much of it stands
there. The shorter one goes, and no text is lost.
"""

import numpy as np
import numpy.typing as npt

from app.corpus.dedup import Edges, Orders
from app.corpus.ngrams import Hashes

SAMPLING = 64
MIN_SAMPLES = 8
"""Fewer say too little: documents of less than about 500 words are not looked for."""
MUCH_LONGER, WHOLE_SHARE = 1.5, 0.95
"""One that is hardly longer must have all of it: documents of one length are judged by their similarity."""
MAX_SHARING = 16
"""A shingle of more documents is a form or a licence. It tells nothing, and its pairs would be too many."""


def sample_of(shingles: Hashes) -> Hashes:
    """The shingles by which a document is known in another."""
    return shingles[shingles % np.uint64(SAMPLING) == 0]


def count_shared(orders: Orders, samples: Hashes) -> tuple[Edges, npt.NDArray[np.int64]]:
    """Pairs of documents, the earlier first, and how many samples they share.

    Args:
        orders: The document of each sample, `[num_samples]`.
        samples: Of all documents, each once a document, `[num_samples]`.
    """
    ranking = np.lexsort((orders, samples))
    orders, samples = orders[ranking], samples[ranking]
    starts = (
        np.flatnonzero(np.r_[True, samples[1:] != samples[:-1]]) if len(samples) else np.empty(0, np.int64)
    )
    sizes = np.diff(np.r_[starts, len(samples)])
    is_rare = np.repeat(sizes <= MAX_SHARING, sizes)
    orders, samples = orders[is_rare], samples[is_rare]
    pairs = [np.empty((0, 2), dtype=np.int64)]
    for lag in range(1, MAX_SHARING):
        is_same = samples[:-lag] == samples[lag:]
        pairs.append(np.column_stack([orders[:-lag][is_same], orders[lag:][is_same]]))
    return add_up(np.concatenate(pairs))


def add_up(pairs: Edges, counts: npt.NDArray[np.int64] | None = None) -> tuple[Edges, npt.NDArray[np.int64]]:
    """Each pair once, with the sum of its counts; left out: 1 each."""
    counts = np.ones(len(pairs), dtype=np.int64) if counts is None else counts
    ranking = np.lexsort(pairs.T)
    pairs, counts = pairs[ranking], counts[ranking]
    if not len(pairs):
        return pairs, counts
    starts = np.flatnonzero(np.r_[True, (pairs[1:] != pairs[:-1]).any(axis=1)])
    return pairs[starts], np.add.reduceat(counts, starts)


def resolve_contained(
    pairs: Edges, num_shared: npt.NDArray[np.int64], num_samples: npt.NDArray[np.int64], threshold: float
) -> tuple[Orders, Orders]:
    """The documents to drop, ascending, and for each the longer one that stays and holds it.

    Args:
        pairs: Of documents that stay otherwise, the earlier first, `[num_pairs, 2]`.
        num_shared: Samples that both have, `[num_pairs]`.
        num_samples: Of each of the two, `[num_pairs, 2]`.
        threshold: Least share of the shorter one's samples, where the other is much longer.
    """
    # Of two that are as long the earlier one stays.
    is_later_longer = num_samples[:, 1] > num_samples[:, 0]
    shorter, longer = (
        np.where(is_later_longer, pairs[:, 0], pairs[:, 1]),
        np.where(is_later_longer, pairs[:, 1], pairs[:, 0]),
    )
    sizes, is_much_longer = (
        num_samples.min(axis=1),
        num_samples.max(axis=1) >= MUCH_LONGER * num_samples.min(axis=1),
    )
    least = np.where(is_much_longer, threshold, max(threshold, WHOLE_SHARE))
    is_held = (sizes >= MIN_SAMPLES) & (num_shared >= least * sizes)
    shorter, longer, sizes = shorter[is_held], longer[is_held], sizes[is_held]
    holders: dict[int, int] = {}
    # The longest first, so that it is known whether the longer one stays.
    for index in np.lexsort((longer, shorter, -sizes)).tolist():
        if int(longer[index]) not in holders:
            holders.setdefault(int(shorter[index]), int(longer[index]))
    dropped = np.array(sorted(holders), dtype=np.int64)
    return dropped, np.array([holders[order] for order in dropped.tolist()], dtype=np.int64)
