"""Packed sequences: what is laid out where, and slices that equal the whole."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.storage import Folder
from app.training.data.sequence_store import (
    SequenceStore,
    StoredDocument,
    lay_out_sequence,
    shard_name,
    write_sequence_shard,
)

SEPARATOR = 7


def document(name, *tokens, targets=None):
    is_target = [True] * len(tokens) if targets is None else targets
    return StoredDocument(name, np.array(tokens, np.int32), np.array(is_target, np.bool_))


def test_masked_documents_stand_apart_and_padding_too():
    documents = [document("a", 10, 11, 12), document("b", 20, 21, targets=[True, False])]
    sequence = lay_out_sequence(documents, 8, None)
    assert sequence.tokens.tolist() == [10, 11, 12, 20, 21, 0, 0, 0]
    assert sequence.is_target.tolist() == [False, True, True, False, False, False, False, False]
    assert sequence.starts == [0, 3, 5]
    assert (sequence.num_tokens, sequence.example_ids) == (5, ["a", "b"])


def test_separated_documents_are_one_and_padding_stands_apart():
    documents = [document("a", 10, 11), document("b", 20, 21), document("c", SEPARATOR, 31)]
    sequence = lay_out_sequence(documents, 9, SEPARATOR)
    assert sequence.tokens.tolist() == [10, 11, SEPARATOR, 20, 21, SEPARATOR, 31, 0, 0]
    assert sequence.is_target.tolist() == [False, True, False, False, True, False, True, False, False]
    assert (sequence.starts, sequence.num_tokens) == ([0, 7], 7)


@pytest.mark.parametrize("separator", [None, SEPARATOR])
def test_a_full_sequence_has_no_padding(separator):
    sequence = lay_out_sequence([document("a", 1, 2, 3)], 3, separator)
    assert (sequence.starts, sequence.num_tokens) == ([0], 3)


def test_documents_that_do_not_fit_are_a_fault_of_ours():
    with pytest.raises(AssertionError, match="b ends after token 4"):
        lay_out_sequence([document("a", 1, 2), document("b", 1, 2)], 4, SEPARATOR)


def random_sequences(number, seq_tokens, random):
    sequences = []
    for index in range(number):
        lengths = random.integers(1, seq_tokens // 3, 3)
        documents = [
            document(f"{index}-{place}", *random.integers(1, 2**31 - 1, length).tolist())
            for place, length in enumerate(lengths)
        ]
        sequences.append(lay_out_sequence(documents, seq_tokens, None))
    return sequences


def write_store(folder, sequences, per_shard):
    num_shards = -(-len(sequences) // per_shard)
    for shard in range(num_shards):
        part = sequences[shard * per_shard : (shard + 1) * per_shard]
        write_sequence_shard(folder, shard_name(shard, num_shards), len(part[0].tokens), iter(part))


class Remote(Folder):
    """A local folder behind a filesystem that pyarrow cannot tell to be local."""

    def __init__(self, uri):
        super().__init__(uri)
        import pyarrow.fs as pafs

        self.filesystem = pafs.SubTreeFileSystem("/", pafs.LocalFileSystem())

    def __reduce__(self):
        return Remote, (self.uri,)


@pytest.fixture(scope="module", params=[Folder, Remote])
def stored(request, tmp_path_factory):
    sequences = random_sequences(7, 60, np.random.default_rng(0))
    path = str(tmp_path_factory.mktemp("data"))
    write_store(Folder(path), sequences, 3)
    return sequences, SequenceStore(request.param(path))


def test_a_store_gives_back_what_was_written(stored):
    sequences, store = stored
    assert (store.num_sequences, store.seq_tokens) == (7, 60)
    for index, sequence in enumerate(sequences):
        tokens, is_target = store.read(index, 0, 60)
        assert (tokens.dtype, is_target.dtype) == (np.int32, np.bool_)
        np.testing.assert_array_equal(tokens, sequence.tokens)
        np.testing.assert_array_equal(is_target, sequence.is_target)
        assert store.starts(index).tolist() == sequence.starts
        assert store.starts(index).dtype == np.int64
        assert store.num_targets(index) == sequence.is_target.sum()
        assert store.num_tokens(index) == sequence.num_tokens
        assert store.example_ids(index) == sequence.example_ids


@settings(max_examples=200, deadline=None)
@given(index=st.integers(0, 6), bounds=st.tuples(st.integers(0, 60), st.integers(0, 60)))
def test_a_slice_equals_that_of_the_whole(stored, index, bounds):
    sequences, store = stored
    start, stop = sorted(bounds)
    tokens, is_target = store.read(index, start, stop)
    np.testing.assert_array_equal(tokens, sequences[index].tokens[start:stop])
    np.testing.assert_array_equal(is_target, sequences[index].is_target[start:stop])


def test_what_is_read_can_be_written_to_without_harm(stored):
    sequences, store = stored
    tokens, is_target = store.read(2, 0, 60)
    tokens[:] = -1
    is_target[:] = True
    np.testing.assert_array_equal(store.read(2, 0, 60)[0], sequences[2].tokens)


def test_a_store_can_be_handed_to_workers(stored):
    sequences, store = stored
    store.read(0, 0, 5)
    copy = pickle.loads(pickle.dumps(store))
    np.testing.assert_array_equal(copy.read(6, 3, 9)[0], sequences[6].tokens[3:9])


@pytest.mark.parametrize("bounds", [(-1, 5), (5, 4), (0, 61)])
def test_a_slice_beyond_the_sequence_is_a_fault_of_ours(stored, bounds):
    with pytest.raises(AssertionError, match="no slice of 60 tokens"):
        stored[1].read(0, *bounds)


def test_a_slice_reads_nothing_else(tmp_path):
    """The file is cut off behind the slice: what stands there cannot have been looked at."""
    sequences = random_sequences(2, 60, np.random.default_rng(0))
    write_store(Folder(str(tmp_path)), sequences, 2)
    for suffix, size in ((".tokens", 4), (".targets", 1)):
        path = tmp_path / f"{shard_name(0, 1)}{suffix}"
        path.write_bytes(path.read_bytes()[: 80 * size])
    tokens, _ = SequenceStore(Remote(str(tmp_path))).read(1, 10, 20)
    np.testing.assert_array_equal(tokens, sequences[1].tokens[10:20])


def test_a_half_made_store_is_not_read(tmp_path):
    sequences = random_sequences(4, 60, np.random.default_rng(0))
    write_sequence_shard(Folder(str(tmp_path)), shard_name(0, 2), 60, sequences[:2])
    with pytest.raises(AssertionError, match="half made"):
        SequenceStore(Folder(str(tmp_path)))


def test_a_shard_that_fails_leaves_no_index(tmp_path):
    def failing():
        yield from random_sequences(1, 60, np.random.default_rng(0))
        raise RuntimeError("lost")

    with pytest.raises(RuntimeError, match="lost"):
        write_sequence_shard(Folder(str(tmp_path)), shard_name(0, 1), 60, failing())
    assert list(tmp_path.iterdir()) == []
