"""Hashed word n-grams, by which near-duplicates and benchmark text are recognised."""

import hashlib
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]

_BASE = np.uint64(0x9E3779B97F4A7C15)
_MIX_MULTIPLIERS = (np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53))
_MIX_SHIFT = np.uint64(33)


def hash_ngrams(words: list[str], num_words: int) -> Hashes:
    """64-bit hash of every stretch of `num_words` words, in order; the same on every machine.

    Returns:
        `[len(words) - num_words + 1]` hashes; none when there are fewer words.
    """
    return join_hashes(hash_words(words), num_words)


def hash_words(words: list[str]) -> Hashes:
    """64-bit hash of each word."""
    return np.fromiter(map(_hash_word, words), dtype=np.uint64, count=len(words))


def join_hashes(hashes: Hashes, num_words: int) -> Hashes:
    """`hash_ngrams` of words whose hashes are known."""
    count = len(hashes) - num_words + 1
    if count < 1:
        return np.empty(0, dtype=np.uint64)
    mixed = np.zeros(count, dtype=np.uint64)
    # A polynomial modulo 2**64: unsigned arrays wrap around, which is the modulus.
    for index in range(num_words):
        mixed = mixed * _BASE + hashes[index : index + count]
    # MurmurHash3's finalizer, as the low bits of a polynomial know nothing of the high ones.
    for multiplier in _MIX_MULTIPLIERS:
        mixed = (mixed ^ (mixed >> _MIX_SHIFT)) * multiplier
    return mixed ^ (mixed >> _MIX_SHIFT)


@lru_cache(maxsize=1 << 18)
def _hash_word(word: str) -> int:
    digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
