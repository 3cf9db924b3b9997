"""A document that stands in a longer one is a repeat, however little the longer one is like it."""

import random

import numpy as np
import pytest

from app.corpus.containment import MAX_SHARING, count_shared, resolve_contained, sample_of
from app.corpus.dedup import shingles_of


def text_of(seed, num_words):
    generator = random.Random(seed)
    return " ".join(f"w{generator.randrange(5000)}" for _ in range(num_words))


def resolve(texts, threshold=0.8):
    """Shorter document → the one that holds it."""
    samples = [sample_of(shingles_of(text, 5)) for text in texts]
    orders = np.repeat(np.arange(len(texts)), [len(sample) for sample in samples])
    pairs, num_shared = count_shared(orders, np.concatenate(samples))
    sizes = np.array([len(sample) for sample in samples])[pairs]
    return dict(
        zip(*map(np.ndarray.tolist, resolve_contained(pairs, num_shared, sizes, threshold)), strict=True)
    )


STORIES = [text_of(seed, 1500) for seed in range(6)]


@pytest.mark.parametrize("is_first", [True, False])
def test_an_anthology_stays_and_its_stories_go(is_first):
    anthology = " and then ".join(STORIES[:5])
    if is_first:
        assert resolve([anthology, *STORIES]) == {1: 0, 2: 0, 3: 0, 4: 0, 5: 0}
    else:
        assert resolve([*STORIES, anthology]) == {0: 6, 1: 6, 2: 6, 3: 6, 4: 6}


def test_a_part_goes_only_for_one_that_stays():
    half, whole, more = STORIES[0], " ".join(STORIES[:2]), " ".join(STORIES[:4])
    assert resolve([half, whole, more]) == {0: 2, 1: 2}


def test_documents_that_share_less_both_stay():
    half = " ".join(STORIES[0].split()[:750])
    assert resolve([f"{half} {STORIES[1]}", f"{STORIES[0]} {STORIES[2]} {STORIES[3]}"]) == {}
    assert resolve([f"{half} {STORIES[1]}", f"{STORIES[0]} {STORIES[2]} {STORIES[3]}"], threshold=0.25) == {
        0: 1
    }


def test_of_two_of_about_one_length_the_longer_one_must_hold_all_of_the_other():
    words = STORIES[0].split()
    assert resolve([" ".join(words[:1350] + STORIES[1].split()[:150]), f"{STORIES[0]} more"]) == {}
    assert resolve([STORIES[0], f"{STORIES[0]} {' '.join(STORIES[1].split()[:500])}"]) == {0: 1}


def test_short_documents_say_too_little():
    assert resolve([text_of(9, 60), f"{text_of(9, 60)} {STORIES[0]}"]) == {}


def test_what_stands_in_many_documents_is_a_form():
    form = text_of(9, 2000)
    assert resolve([form, *(f"{form} {story}" for story in STORIES)]) == {0: 1}
    assert resolve([form, *(f"{form} {text_of(seed, 100)}" for seed in range(MAX_SHARING))]) == {}


def test_counts_of_two_shares_of_the_samples_add_up():
    samples = [sample_of(shingles_of(text, 5)) for text in (STORIES[0], f"{STORIES[0]} {STORIES[1]}")]
    orders = np.repeat([0, 1], [len(sample) for sample in samples])
    pairs, num_shared = count_shared(orders, np.concatenate(samples))
    assert pairs.tolist() == [[0, 1]]
    assert num_shared.tolist() == [len(samples[0])]
    assert count_shared(orders[:0], samples[0][:0])[0].shape == (0, 2)
