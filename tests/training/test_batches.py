from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.training.batches import load_shard, num_targets_of_step, own_sequences, sequences_of_step
from app.training.loss import IGNORED
from app.training.parallel.attention import SequenceParallel
from app.training.parallel.layout import SequenceLayout
from tests.training.parallel.parity_cases import MemorySequences


@st.composite
def cases(draw):
    lengths = tuple(draw(st.lists(st.integers(1, 40), min_size=1, max_size=8)))
    layout = SequenceLayout(draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    return MemorySequences((lengths,)), layout


def whole(sequences, index, layout):
    """All ranks' shards put together: tokens, labels, positions, and one rank's boundaries."""
    padded = layout.padded_tokens(sequences.seq_tokens)
    parts = np.full((3, padded), -7)
    boundaries = set()
    for rank in range(layout.size):
        shard = load_shard(sequences, index, SequenceParallel(layout, rank))
        places = np.concatenate([np.arange(*span) for span in layout.spans(rank, padded)])
        for row, part in enumerate((shard.input_ids, shard.labels, shard.position_ids)):
            assert part.dtype.is_signed
            assert part.shape == (len(places),)
            parts[row, places] = part.numpy()
        boundaries.add(shard.packed.boundaries)
    (found,) = boundaries
    return *parts, found


@settings(deadline=None)
@given(cases())
def test_all_ranks_together_have_the_sequence(case):
    sequences, layout = case
    tokens, _, _, boundaries = whole(sequences, 0, layout)
    assert np.array_equal(tokens[: sequences.seq_tokens], sequences.tokens[0])
    padded = layout.padded_tokens(sequences.seq_tokens)
    expected = [*sequences.starts(0)] + [sequences.seq_tokens] * (padded > sequences.seq_tokens) + [padded]
    assert list(boundaries) == expected


@settings(deadline=None)
@given(cases())
def test_labels_are_shifted_once_whoever_holds_the_token(case):
    sequences, layout = case
    _, labels, _, _ = whole(sequences, 0, layout)
    expected = np.full(len(labels), IGNORED)
    for place in range(sequences.seq_tokens - 1):
        if sequences.is_target[0, place + 1]:
            expected[place] = sequences.tokens[0, place + 1]
    assert np.array_equal(labels, expected)
    assert (labels != IGNORED).sum() == sequences.num_targets(0)


@settings(deadline=None)
@given(cases())
def test_positions_begin_anew_with_every_document_and_with_padding(case):
    sequences, layout = case
    _, _, positions, boundaries = whole(sequences, 0, layout)
    expected = np.concatenate([np.arange(b - a) for a, b in pairwise(boundaries)])
    assert np.array_equal(positions, expected)


@pytest.mark.parametrize("layout", [SequenceLayout(), SequenceLayout(1, 3), SequenceLayout(2, 2)])
def test_a_sequence_that_is_not_there_teaches_nothing(layout):
    sequences = MemorySequences(((20, 17),))
    _, labels, positions, boundaries = whole(sequences, None, layout)
    assert set(labels) == {IGNORED}
    assert boundaries[0] == 0
    assert boundaries[-1] == layout.padded_tokens(37)
    assert positions.min() == 0


class Watched(MemorySequences):
    """Remembers what was read."""

    def __post_init__(self):
        super().__post_init__()
        self.slices = []

    def read(self, index, start, stop):
        assert stop <= self.seq_tokens
        self.slices.append((start, stop))
        return super().read(index, start, stop)


def test_a_rank_reads_its_own_tokens_and_the_next_one():
    sequences = Watched(((64,),))
    load_shard(sequences, 0, SequenceParallel(SequenceLayout(2, 1), 0))
    assert sequences.slices == [(0, 17), (48, 64)]
    sequences = Watched(((3,),))
    # Of 8 places of the last rank none holds a token.
    load_shard(sequences, 0, SequenceParallel(SequenceLayout(1, 8), 7))
    assert sequences.slices == []


@given(st.integers(0, 50), st.integers(1, 12), st.integers(1, 8))
def test_a_step_is_the_same_sequences_for_any_number_of_workers(step, sequences_per_step, data_size):
    shared = [list(own_sequences(step, sequences_per_step, rank, data_size)) for rank in range(data_size)]
    found = [index for sequences in zip(*shared, strict=True) for index in sequences]
    assert [index for index in found if index is not None] == list(
        sequences_of_step(step, sequences_per_step)
    )
    # Nobody waits for somebody who is done.
    assert {len(sequences) for sequences in shared} == {-(-sequences_per_step // data_size)}


def test_steps_follow_each_other_without_a_gap():
    assert [index for step in range(5) for index in sequences_of_step(step, 3)] == list(range(15))


def test_the_labels_of_a_step_are_known_without_reading_it():
    sequences = MemorySequences(((30, 10), (40,), (1, 39), (20, 20)), unlearned=(1,))
    labels = [whole(sequences, index, SequenceLayout(2, 2))[1] for index in range(4)]
    counts = [int((part != IGNORED).sum()) for part in labels]
    assert counts[1] == 0
    assert num_targets_of_step(sequences, 0, 2) == sum(counts[:2])
    assert num_targets_of_step(sequences, 1, 2) == sum(counts[2:])
