import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.faults import UserError
from app.training.parallel.layout import SequenceLayout, layout_of

LAYOUTS = st.builds(SequenceLayout, st.integers(1, 9), st.integers(1, 9))


@given(LAYOUTS, st.integers(1, 3000))
def test_all_ranks_together_hold_every_token_once(layout, num_tokens):
    padded = layout.padded_tokens(num_tokens)
    held = [
        place for rank in range(layout.size) for span in layout.spans(rank, padded) for place in range(*span)
    ]
    assert sorted(held) == list(range(padded))


@given(LAYOUTS, st.integers(1, 3000))
def test_every_rank_holds_as_many(layout, num_tokens):
    padded = layout.padded_tokens(num_tokens)
    counts = {sum(stop - start for start, stop in layout.spans(rank, padded)) for rank in range(layout.size)}
    assert counts == {padded // layout.size}
    assert num_tokens <= padded < num_tokens + 2 * layout.size


@given(LAYOUTS, st.integers(1, 3000))
def test_a_ulysses_group_holds_its_ring_ranks_chunks_in_order(layout, num_tokens):
    padded = layout.padded_tokens(num_tokens)
    for ring_rank in range(layout.ring_size):
        ranks = range(ring_rank * layout.ulysses_size, (ring_rank + 1) * layout.ulysses_size)
        held = [place for rank in ranks for span in layout.spans(rank, padded) for place in range(*span)]
        assert held == [place for span in layout.ring_spans(ring_rank, padded) for place in range(*span)]


@given(st.integers(2, 9), st.integers(1, 300))
def test_causal_attention_costs_every_ring_rank_the_same(ring_size, chunk):
    layout = SequenceLayout(ring_size)
    padded = 2 * ring_size * chunk
    seen = {
        sum(place + 1 for span in layout.ring_spans(rank, padded) for place in range(*span))
        for rank in range(ring_size)
    }
    assert len(seen) == 1


def test_a_zigzag_of_two():
    layout = SequenceLayout(2, 1)
    assert layout.spans(0, 8) == [(0, 2), (6, 8)]
    assert layout.spans(1, 8) == [(2, 4), (4, 6)]
    assert SequenceLayout(2, 2).spans(1, 16) == [(12, 16)]


@pytest.mark.parametrize(
    ("size", "mode", "num_heads", "ulysses_size", "expected"),
    [
        (1, "ulysses", 32, None, (1, 1)),
        (8, "ulysses", 32, None, (1, 8)),
        (32, "ulysses", 32, None, (1, 32)),
        (64, "ulysses", 32, None, (2, 32)),
        (8, "ring", 32, None, (8, 1)),
        (8, "ring", 32, 4, (2, 4)),
        (8, "ulysses", 32, 2, (4, 2)),
        # 9 heads: 3 ranks waste nothing, 2 and 4 a little (10, 12 heads), 8 too much (16).
        (2, "ulysses", 9, None, (1, 2)),
        (4, "ulysses", 9, None, (1, 4)),
        (8, "ulysses", 9, None, (2, 4)),
        (12, "ulysses", 9, None, (2, 6)),
        # A prime number of ranks, more than heads.
        (7, "ulysses", 4, None, (7, 1)),
        # As many as are asked for, whatever is wasted.
        (8, "ulysses", 9, 8, (1, 8)),
    ],
)
def test_ranks_are_shared_between_ring_and_ulysses(size, mode, num_heads, ulysses_size, expected):
    layout = layout_of(size, mode, num_heads, ulysses_size)
    assert (layout.ring_size, layout.ulysses_size) == expected


@given(st.integers(1, 256), st.integers(1, 128))
def test_a_mode_always_finds_a_layout(size, num_heads):
    assert layout_of(size, "ring", num_heads) == SequenceLayout(size, 1)
    layout = layout_of(size, "ulysses", num_heads)
    assert layout.size == size
    assert layout.ulysses_size <= num_heads


def test_more_ulysses_ranks_than_heads_are_refused():
    expected = r"^ulysses_size: 16 is more than the model's 9 heads; at most 4$"
    with pytest.raises(UserError, match=expected):
        layout_of(16, "ulysses", 9, 16)
