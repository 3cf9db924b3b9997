import subprocess
import sys

import faiss
import numpy as np
import pyarrow.fs as pafs
import pytest

from app.faults import UserError
from app.retrieval.index import INDEX_FILE, Hits, SearchIndex, create_index, fill_index, save_index
from app.retrieval.recall import RecallSample, check_recall
from app.retrieval.vectors import VectorShard, VectorShards, write_shard
from app.storage import Folder

DIM = 16


def clustered(num_vectors, seed=0, num_centers=20):
    """Unit vectors around some centres, as texts of some topics are."""
    random = np.random.default_rng(seed)
    centers = random.standard_normal((num_centers, DIM))
    vectors = centers[random.integers(num_centers, size=num_vectors)]
    vectors = vectors + 0.3 * random.standard_normal((num_vectors, DIM))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def write_shards(path, vectors, shard_rows=100, dtype=np.float32):
    folder, shards = Folder(str(path)), []
    for first_row in range(0, len(vectors), shard_rows):
        block = vectors[first_row : first_row + shard_rows]
        shards.append(VectorShard(f"part.{first_row:06d}.npy", len(block)))
        write_shard(folder, shards[-1].name, block.astype(dtype))
    return VectorShards(folder, shards)


def make(path, config, vectors, **arguments):
    shards = write_shards(path / "vectors", vectors)
    index = create_index(config, shards.num_vectors, shards.dim)
    fill_index(index, shards, config, seed=0, **arguments)
    save_index(index, Folder(str(path)))
    return SearchIndex.open(path / INDEX_FILE, config.index_factory, config.nprobe), shards


def test_shards_give_rows_in_order(tmp_path):
    vectors = clustered(1050)
    shards = write_shards(tmp_path, vectors, dtype=np.float16)
    assert (shards.num_vectors, shards.dim) == (1050, DIM)
    starts, blocks = zip(*shards.blocks(), strict=True)
    assert list(starts) == list(range(0, 1050, 100))
    np.testing.assert_allclose(np.concatenate(blocks), vectors, atol=1e-3)
    rows = np.array([0, 99, 100, 730, 1049])
    np.testing.assert_allclose(shards.take(rows), vectors[rows], atol=1e-3)


@pytest.mark.parametrize("num_rows", [1, 3, 700, 1050, 9999])
def test_a_sample_is_drawn_evenly_and_again_the_same(tmp_path, num_rows):
    shards = write_shards(tmp_path, clustered(1050))
    rows = shards.sample_rows(num_rows, 5)
    assert len(rows) == min(num_rows, 1050)
    assert len(np.unique(rows)) == len(rows)
    assert rows.min() >= 0
    assert rows.max() < 1050
    in_shards = np.bincount(rows // 100, minlength=11)[:10]
    assert in_shards.max() - in_shards.min() <= 2
    np.testing.assert_array_equal(rows, shards.sample_rows(num_rows, 5))
    if num_rows < 1050:
        assert rows.tolist() != shards.sample_rows(num_rows, 6).tolist()


def test_flat_finds_what_brute_force_finds(tmp_path, settings):
    vectors = clustered(1050)
    index, shards = make(tmp_path, settings(), vectors)
    queries = clustered(30, seed=1)
    hits = index.search(queries, 12)
    exact = queries @ vectors.T
    np.testing.assert_array_equal(hits.rows, np.argsort(-exact, axis=1)[:, :12])
    np.testing.assert_allclose(hits.scores, -np.sort(-exact, axis=1)[:, :12], atol=1e-6)
    assert RecallSample.search_exactly(shards, 50, seed=0).recall(index) == 1.0


def test_a_querys_hits_do_not_depend_on_its_batch(tmp_path, settings):
    vectors, queries = clustered(2000), clustered(60, seed=1)
    for factory in ("Flat", "IVF16,Flat"):
        index, _ = make(tmp_path, settings(index_factory=factory, nprobe=4), vectors)
        together = index.search(queries, 50)
        for number in range(0, 60, 7):
            alone = index.search(queries[number : number + 1], 50)
            np.testing.assert_array_equal(alone.rows[0], together.rows[number])
            # Bit for bit: near-ties must not change places.
            np.testing.assert_array_equal(alone.scores[0], together.scores[number])


def test_equal_scores_come_in_row_order(tmp_path, settings):
    vectors = np.repeat(clustered(5), 40, axis=0)
    index, shards = make(tmp_path, settings(), vectors)
    rows = index.search(vectors[40:41], 40).rows[0]
    assert rows.tolist() == list(range(40, 80))
    assert RecallSample.search_exactly(shards, 20, seed=0).recall(index) == 1.0


def test_inverted_lists_with_codes_are_searched_well_enough(tmp_path, settings):
    config = settings(index_factory="IVF16,PQ8x4", nprobe=16, num_training_vectors=1500)
    index, shards = make(tmp_path, config, clustered(2000))
    sample = RecallSample.search_exactly(shards, 100, seed=0)
    recall = sample.recall(index)
    assert 0.3 < recall < 1.0
    few_lists = SearchIndex.open(tmp_path / INDEX_FILE, config.index_factory, nprobe=1)
    assert sample.recall(few_lists) < recall


def test_recall_falls_when_rows_are_mixed_up(tmp_path, settings):
    vectors = clustered(1000)
    shards = write_shards(tmp_path / "vectors", vectors)
    wrong = faiss.IndexFlatIP(DIM)
    wrong.add(vectors[::-1].copy())
    assert RecallSample.search_exactly(shards, 50, seed=0).recall(SearchIndex(wrong, 1)) < 0.1


@pytest.mark.parametrize("num_rows", [1, 20, 1050])
def test_true_neighbours_are_those_of_brute_force_in_their_order(tmp_path, num_rows):
    # Each vector stands twice, in shards far apart: equal scores come in row order.
    vectors = np.tile(clustered(max(num_rows // 2, 1)), (2, 1))[:num_rows]
    sample = RecallSample.search_exactly(write_shards(tmp_path, vectors), 10, seed=0)
    # In float64: float32 sums differ in their last bits from one processor's BLAS to another's.
    exact = vectors[sample.rows].astype(np.float64) @ vectors.T.astype(np.float64)
    exact[np.arange(len(sample.rows)), sample.rows] = -np.inf
    num_neighbours = min(32, num_rows - 1)
    assert sample.neighbours.shape == (len(sample.rows), num_neighbours)
    taken = np.take_along_axis(exact, sample.neighbours, axis=1)
    np.testing.assert_allclose(taken, -np.sort(-exact, axis=1)[:, :num_neighbours], atol=1e-6)
    np.testing.assert_allclose(sample.scores, taken, atol=1e-6)
    for neighbours, scores in zip(sample.neighbours.tolist(), sample.scores.tolist(), strict=True):
        assert len(set(neighbours)) == num_neighbours
        assert sorted(zip([-score for score in scores], neighbours, strict=True)) == [
            (-score, row) for score, row in zip(scores, neighbours, strict=True)
        ]


def test_the_recall_sample_can_be_kept(tmp_path, settings):
    index, shards = make(tmp_path, settings(index_factory="IVF16,Flat", nprobe=1), clustered(1000))
    sample = RecallSample.search_exactly(shards, 50, seed=0)
    sample.save(Folder(str(tmp_path)))
    assert RecallSample.load(Folder(str(tmp_path))).recall(index) == sample.recall(index)


@pytest.mark.parametrize("num_vectors", [1, 2, 5])
def test_recall_of_a_handful(tmp_path, settings, num_vectors):
    index, shards = make(tmp_path, settings(), clustered(num_vectors))
    assert RecallSample.search_exactly(shards, 200, seed=0).recall(index) == 1.0


def test_more_lists_are_visited_until_every_place_is_filled(tmp_path, settings):
    index, _ = make(tmp_path, settings(index_factory="IVF16,Flat", nprobe=1), clustered(1000))
    for num_results in (10, 400, 1000, 5000):
        rows = index.search(clustered(3, seed=2), num_results).rows
        assert rows.shape == (3, min(num_results, 1000))
        assert rows.min() >= 0
        assert all(len(set(found)) == len(found) for found in rows.tolist())


def test_a_remote_index_is_uploaded_under_its_own_name(tmp_path, settings):
    folder = Folder(str(tmp_path / "remote"))
    local, moved = folder.filesystem, []
    # Not a local filesystem by type, as S3 is not; it would refuse to move files above 5 GiB.
    folder.filesystem = pafs.SubTreeFileSystem("/", local)
    folder.replace = lambda name: moved.append(name)
    config = settings()
    index = create_index(config, 10, DIM)
    index.add(clustered(10))
    save_index(index, folder)
    assert moved == []
    assert [path.name for path in (tmp_path / "remote").iterdir()] == [INDEX_FILE]
    opened = SearchIndex.open(tmp_path / "remote" / INDEX_FILE, config.index_factory, 1)
    assert opened.num_vectors == 10


def test_rebuilding_gives_the_same_index(tmp_path, settings):
    config = settings(index_factory="IVF16,PQ8x4", num_training_vectors=1000)
    vectors = clustered(2000)
    make(tmp_path / "a", config, vectors)
    make(tmp_path / "b", config, vectors)
    assert (tmp_path / "a" / INDEX_FILE).read_bytes() == (tmp_path / "b" / INDEX_FILE).read_bytes()


def test_centroids_are_trained_and_assigned_where_to_gpus_says(tmp_path, settings):
    moved = []

    def to_gpus(index):
        assert index.metric_type == faiss.METRIC_INNER_PRODUCT
        moved.append(index.ntotal)
        if not index.ntotal:
            return faiss.clone_index(index)
        # Seen in the result: these "GPUs" put every vector into a wrong list.
        reversed_centroids = faiss.IndexFlatIP(DIM)
        reversed_centroids.add(faiss.downcast_index(index).reconstruct_n(0, index.ntotal)[::-1].copy())
        return reversed_centroids

    vectors, queries = clustered(2000), clustered(50, seed=1)
    config = settings(index_factory="IVF16,Flat", nprobe=1)
    right, _ = make(tmp_path / "right", config, vectors)
    wrong, _ = make(tmp_path / "wrong", config, vectors, to_gpus=to_gpus)
    assert moved == [0, 16]
    best = np.argmax(queries @ vectors.T, axis=1)
    assert (right.search(queries, 1).rows[:, 0] == best).mean() > 0.6
    assert (wrong.search(queries, 1).rows[:, 0] == best).mean() < 0.2


def test_any_of_equal_neighbours_is_right():
    class LastFirst:
        def search(self, vectors, num_results):
            rows = np.arange(20, 20 - num_results, -1)[None]
            return Hits(np.ones(rows.shape, dtype=np.float32), rows)

    scores = np.full((1, 20), 0.5, dtype=np.float32)
    neighbours = np.arange(1, 21)[None]
    query = np.zeros((1, DIM), dtype=np.float32)
    assert RecallSample(np.array([0]), query, neighbours, scores).recall(LastFirst()) == 1.0
    scores[0, :10] = 0.6
    assert RecallSample(np.array([0]), query, neighbours, scores).recall(LastFirst()) == 0.0


@pytest.mark.parametrize(
    ("factory", "num_vectors", "message"),
    [
        (
            "IVF4096,PQ8",
            813,
            r"'IVF4096,PQ8' needs at least 4,096 .* 813 passages; use `Flat`, or `IVF16,Flat`",
        ),
        ("PQ8", 200, r"'PQ8' needs at least 256 vectors to train, the corpus has 200 passages; use `Flat`$"),
        ("IVF64,PQ7", 9999, r"'IVF64,PQ7' can't be built for vectors of size 16"),
        ("Flatt", 9999, r"'Flatt' can't be built .* use a FAISS factory string such as `Flat`"),
    ],
)
def test_a_factory_that_does_not_fit_is_refused(settings, factory, num_vectors, message):
    with pytest.raises(UserError, match=f"^retrieval.index_factory: {message}"):
        create_index(settings(index_factory=factory), num_vectors, DIM)


def test_too_small_a_training_sample_is_refused(settings):
    with pytest.raises(UserError, match=r"^retrieval.num_training_vectors: 100 .* at least 256"):
        create_index(settings(index_factory="IVF4,PQ8", num_training_vectors=100), 9999, DIM)


def test_low_recall_is_refused_with_the_numbers(settings):
    config = settings(index_factory="IVF64,PQ8", nprobe=4, min_recall=0.5)
    check_recall(config, 0.5)
    with pytest.raises(
        UserError, match=r"^retrieval.min_recall: .*'IVF64,PQ8' is 0.412, below 0.5; raise .*nprobe above 4"
    ):
        check_recall(config, 0.412)


RSS = """
import sys, faiss
from pathlib import Path
from app.retrieval.index import SearchIndex
from app.faults import UserError
import numpy as np

def anonymous_mib():
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) / 1024

before = anonymous_mib()
index = SearchIndex.open(Path(sys.argv[1]), sys.argv[2], nprobe=1)
index.search(np.ones((1, index.dim), dtype=np.float32), 5)
print(anonymous_mib() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("factory", ["Flat", "IVF4,Flat", "IVF4,SQ8", "HNSW4"])
def test_an_opened_index_is_mapped_not_read(tmp_path, settings, factory):
    config = settings(index_factory=factory)
    index = create_index(config, 60_000, 256)
    vectors = np.random.default_rng(0).standard_normal((60_000, 256)).astype(np.float32)
    index.train(vectors[:500])
    index.add(vectors[: 4_000 if factory == "HNSW4" else 60_000])
    save_index(index, Folder(str(tmp_path)))
    path = tmp_path / INDEX_FILE
    run = subprocess.run(
        [sys.executable, "-c", RSS, str(path), factory],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert float(run.stdout) < max(0.2 * path.stat().st_size / 2**20, 2.5), "the index was copied into memory"
