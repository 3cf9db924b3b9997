import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.training.parallel.layout import SequenceLayout
from app.training.parallel.ring_tiles import tiles_of


@st.composite
def packings(draw):
    """Size of the ring, tokens, starts of the documents and the end."""
    ring_size = draw(st.integers(2, 6))
    num_tokens = 2 * ring_size * draw(st.integers(1, 12))
    starts = draw(st.sets(st.integers(1, num_tokens - 1), max_size=12)) if num_tokens > 1 else set()
    return ring_size, num_tokens, (0, *sorted(starts), num_tokens)


def expected_pairs(num_tokens, boundaries, window=None):
    """How often each query is to meet each key: once, within its document and window, up to its own place."""
    document = np.searchsorted(boundaries, np.arange(num_tokens), side="right")
    places = np.arange(num_tokens)
    behind = places[:, None] - places[None, :]
    is_near = behind < (num_tokens if window is None else window)
    return ((document[:, None] == document[None, :]) & (behind >= 0) & is_near).astype(int)


def found_pairs(ring_size, num_tokens, boundaries, window=None):
    layout = SequenceLayout(ring_size)
    held = [
        np.concatenate([np.arange(*span) for span in layout.spans(rank, num_tokens)])
        for rank in range(ring_size)
    ]
    found = np.zeros((num_tokens, num_tokens), int)
    for rank in range(ring_size):
        for source in range(ring_size):
            for tile in tiles_of(rank, source, ring_size, num_tokens, boundaries, window):
                queries, keys = held[rank][slice(*tile.queries)], held[source][slice(*tile.keys)]
                assert len(queries)
                assert len(keys)
                # What the kernel computes: everything, or documents that are causal by themselves.
                if tile.boundaries is None:
                    mask = np.ones((len(queries), len(keys)), int)
                    if tile.num_before is not None:
                        assert tile.num_before >= 0
                        # A kernel's window counts from the last query and the last key.
                        own = np.arange(len(queries)) + len(keys) - len(queries)
                        mask &= np.arange(len(keys)) >= own[:, None] - tile.num_before
                else:
                    assert tile.boundaries[-1] == len(queries) == len(keys)
                    mask = expected_pairs(len(queries), tile.boundaries, window)
                np.add.at(found, np.ix_(queries, keys), mask)
    return found


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(packings(), st.none() | st.integers(1, 40))
def test_every_pair_that_should_meet_does_so_once(packing, window):
    ring_size, num_tokens, boundaries = packing
    found = found_pairs(ring_size, num_tokens, boundaries, window)
    assert np.array_equal(found, expected_pairs(num_tokens, boundaries, window))


def test_tiles_outside_of_a_window_are_left_out():
    tiles = [tiles_of(1, source, 4, 64, (0, 64), window=4) for source in range(4)]
    # Chunk 1 sees a part of chunk 0, chunk 6 a part of chunk 5; both see themselves.
    assert [len(of_source) for of_source in tiles] == [1, 2, 1, 0]
    assert tiles[0][0].queries == (0, 3)
    assert tiles[0][0].keys == (5, 8)


@pytest.mark.parametrize(
    "boundaries",
    [
        (0, 32),
        tuple(range(33)),
        (0, 4, 8, 12, 16, 20, 24, 28, 32),
        (0, 1, 31, 32),
        (0, 15, 17, 32),
    ],
)
def test_documents_of_one_token_and_borders_on_borders(boundaries):
    assert np.array_equal(found_pairs(4, 32, boundaries), expected_pairs(32, boundaries))


def test_a_whole_sequence_takes_as_long_on_every_rank():
    """Zigzag: two dense half tiles in every step but the own one."""
    for rank in range(4):
        for source in range(4):
            tiles = tiles_of(rank, source, 4, 64, (0, 64))
            cost = sum(
                (tile.queries[1] - tile.queries[0])
                * (tile.keys[1] - tile.keys[0])
                / (1 if tile.boundaries is None else 2)
                for tile in tiles
            )
            assert cost == 2 * 8 * 8
