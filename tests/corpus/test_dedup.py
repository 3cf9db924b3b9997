import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.corpus.dedup import (
    band_hashes,
    exact_edges,
    lsh_bands,
    near_edges,
    resolve_edges,
    shared_buckets,
    signature,
)
from app.corpus.ngrams import hash_ngrams
from app.text.words import split_words


def words(num_words, seed):
    generator = random.Random(seed)
    return [f"w{generator.randrange(5000)}" for _ in range(num_words)]


def jaccard(left, right, num_words=5):
    sets = [set(hash_ngrams(split_words(text), num_words).tolist()) for text in (left, right)]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def estimate(left, right):
    return float((signature(left, 512, 5) == signature(right, 512, 5)).mean())


def test_ngram_hashes_are_of_the_words_in_order():
    hashes = hash_ngrams(["a", "b", "a", "b", "a"], 2)
    assert hashes[0] == hashes[2] != hashes[1] == hashes[3]
    assert len(hash_ngrams(["a"], 2)) == 0
    # The same on every machine and in every process: ids of an interrupted job must fit those of its resumption.
    assert hash_ngrams(["a", "b"], 2).tolist() == [FIRST_HASH]


FIRST_HASH = 2217375478979427961


@pytest.mark.parametrize("share", [0.0, 0.02, 0.1, 0.5])
def test_signatures_estimate_the_jaccard_similarity(share):
    left = words(2000, seed=1)
    right = [
        f"x{index}" if random.Random(index).random() < share else word for index, word in enumerate(left)
    ]
    left_text, right_text = " ".join(left), " ".join(right)
    assert abs(estimate(left_text, right_text) - jaccard(left_text, right_text)) < 0.07


def test_signatures_ignore_case_and_punctuation_but_not_order():
    assert estimate("One two, three four five six", "one TWO three — four five six!") == 1.0
    assert estimate("one two three four five six", "six five four three two one") < 0.1


def test_signatures_are_the_same_everywhere():
    assert signature("one two three four five six", 4, 5).tolist() == PINNED_SIGNATURE


PINNED_SIGNATURE = [1889477828, 1309113905, 2724798562, 2532348196]


def test_texts_without_words_or_spaces_have_signatures():
    assert estimate("🙂🙃🙂🙃🙂🙃🙂🙃", "🙂🙃🙂🙃🙂🙃🙂🙃") == 1.0
    assert estimate("🙂" * 9, "…" * 9) < 0.1
    emoji = "🙂🙃😀😃😄😁😆😅😂🤣🥲😊😇😉😌"
    assert 0.5 < estimate(emoji, emoji[:-1]) < 1.0
    assert estimate("\x00", "\x01") < 0.1
    han = "".join(chr(random.Random(i).randrange(0x4E00, 0x9FA5)) for i in range(600))
    assert estimate(han, han[:300] + "新" + han[301:]) > 0.9
    assert estimate(han, han[::-1]) < 0.1


def test_bands_catch_most_of_what_reaches_the_threshold():
    for threshold in (0.5, 0.8, 0.95, 1.0):
        num_bands, band_size = lsh_bands(threshold, 128)
        assert num_bands * band_size <= 128
        assert 1 - (1 - threshold**band_size) ** num_bands > 0.75


def find(signatures, threshold, num_bands, band_size):
    orders = np.arange(len(signatures), dtype=np.int64)
    hashes = np.array([band_hashes(row, num_bands, band_size) for row in signatures], dtype=np.uint64)
    edges = []
    for band in range(num_bands):
        members = shared_buckets(orders, hashes[:, band])
        edges.append(near_edges(orders, hashes[:, band], members, signatures[members], threshold))
    return np.concatenate(edges)


def test_near_duplicates_are_found_and_others_left():
    bases = [words(300, seed) for seed in range(20)]
    copies = [[*base[:-3], "other", "end", "here"] for base in bases[::4]]
    signatures = np.stack([signature(" ".join(text), 128, 5) for text in [*bases, *copies]])
    edges = find(signatures, 0.8, *lsh_bands(0.8, 128))
    dropped, survivors = resolve_edges(edges)
    assert dropped.tolist() == [20, 21, 22, 23, 24]
    assert survivors.tolist() == [0, 4, 8, 12, 16]


def test_candidates_below_the_threshold_are_not_duplicates():
    left = np.arange(128, dtype=np.uint32)
    right = left.copy()
    right[50:] += 1000
    signatures = np.stack([left, right])
    assert len(find(signatures, 0.8, 4, 10)) == 0
    assert find(signatures, 50 / 128, 4, 10).tolist()[0] == [0, 1]


def test_a_bucket_with_two_kinds_gives_edges_within_each():
    kinds = [np.arange(20, dtype=np.uint32), np.r_[0:2, 100:118].astype(np.uint32)]
    signatures = np.stack([kinds[0], kinds[1], kinds[0], kinds[1]])
    assert find(signatures, 0.8, 1, 2).tolist() == [[0, 2], [1, 3]]


def test_exact_edges_join_the_first_of_an_id_with_all_others():
    orders, ids = np.array([5, 3, 9, 4, 7]), np.array([1, 1, 1, 2, 2], dtype=np.uint64)
    assert exact_edges(orders, ids).tolist() == [[3, 5], [3, 9], [4, 7]]
    assert exact_edges(orders[:1], ids[:1]).shape == (0, 2)
    assert exact_edges(orders[:0], ids[:0]).shape == (0, 2)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=40))
def test_what_goes_is_like_what_stays(pairs):
    edges = sorted({(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]})
    dropped, survivors = resolve_edges(np.array(edges, dtype=np.int64).reshape(-1, 2))
    assert dropped.tolist() == sorted(set(dropped.tolist()))
    assert not set(dropped.tolist()) & set(survivors.tolist())
    for gone, survivor in zip(dropped.tolist(), survivors.tolist(), strict=True):
        stays = [first for first, later in edges if later == gone and first not in dropped]
        assert survivor == min(stays)
    # And of two that are alike not both stay.
    assert all({first, later} & set(dropped.tolist()) for first, later in edges)


def test_a_chain_of_likes_is_no_group():
    chain = [words(100, seed=1)]
    for step in range(1, 60):
        changed = list(chain[-1])
        changed[step] = f"new{step}"
        chain.append(changed)
    texts = [" ".join(text) for text in chain]
    signatures = np.stack([signature(text, 128, 5) for text in texts])
    dropped, survivors = resolve_edges(find(signatures, 0.8, *lsh_bands(0.8, 128)))
    similar = (signatures[dropped] == signatures[survivors]).mean(axis=1)
    assert similar.min() >= 0.8
    assert jaccard(texts[0], texts[59]) < 0.4
    assert 20 < len(dropped) < 55


def test_what_is_like_one_that_goes_is_still_compared_with_the_others():
    # In a bucket of 0, 1 and 2, where 1 and 2 are like 0, which itself is like another one elsewhere.
    rows = np.stack([np.arange(20), np.arange(20), np.arange(20)]).astype(np.uint32)
    assert find(rows, 0.8, 1, 2).tolist() == [[0, 1], [0, 2], [1, 2]]
