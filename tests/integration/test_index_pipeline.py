"""The index through a real Ray and the real multilingual-e5-small."""

import asyncio
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
import ray

from app.config import Config
from app.faults import UserError
from app.recipe import load_config
from app.retrieval.actors import RetrieverPool, start_retrievers
from app.retrieval.embedding import plan_shards, read_texts, report_progress
from app.retrieval.index_folder import load_embedder
from app.retrieval.pipeline import build_index
from app.retrieval.retriever import Query
from app.run import Run
from app.storage import Folder
from tests.record_makers import corpus_record
from tests.retrieval.fake_corpus import write_corpus

pytestmark = pytest.mark.timeout(300)

TOPICS = {
    "Bread": "Flour, water, salt and yeast are kneaded into a dough that rises before it is baked.",
    "Glaciers": "A glacier is a slow river of ice, fed by snow and melting at its tongue.",
    "Chess": "The queen moves along ranks, files and diagonals, and the king one square at a time.",
    "Bees": "Worker bees gather nectar from flowers and turn it into honey inside the hive.",
    "Steam": "The steam engine turned heat into motion and drove the first locomotives.",
    "Moon": "The moon pulls at the oceans, and the tides rise and fall twice a day.",
    "Violin": "A bow of horsehair is drawn over four strings, and the wooden body of the violin sounds.",
    "Tea": "Tea leaves are picked, withered, rolled and dried; hot water draws out their flavour.",
}
QUESTIONS = {
    "How is honey made?": "Bees",
    "Why does the sea go up and down?": "Moon",
    "What do bakers do with dough?": "Bread",
    "Wie zieht die Dame im Schach?": "Chess",
    "Welche Maschine trieb die ersten Eisenbahnen an?": "Steam",
    "Comment prépare-t-on le thé ?": "Tea",
}


def corpus_of(run: Run, num_parts: int) -> None:
    """Each topic a document of five passages, in a run whose corpus is complete."""
    documents = [
        (title, [f"{text} ", *(f"Note {number} on {title.lower()}. " for number in range(4))])
        for title, text in TOPICS.items()
    ]
    size = len(documents) // num_parts
    parts = [documents[number * size : (number + 1) * size] for number in range(num_parts)]
    texts = write_corpus(run.corpus.folder, parts, row_group_rows=3)
    run.corpus.complete(corpus_record(num_passages=len(texts), fingerprint="corpus one"))


def config_of(path, *overrides: str) -> Config:
    return load_config(
        "laptop",
        [
            "--run_dir",
            str(path),
            "--retrieval.max_embed_actors",
            "2",
            "--seed",
            "0",
            "--retrieval.dtype",
            "float32",
            *overrides,
        ],
    )


@pytest.fixture(scope="module")
def local_ray():
    temp_dir = tempfile.mkdtemp(prefix="ix", dir="/tmp")
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        _temp_dir=temp_dir,
        object_store_memory=200 * 2**20,
        log_to_driver=False,
    )
    yield
    ray.shutdown()
    shutil.rmtree(temp_dir, ignore_errors=True)


@pytest.fixture(scope="module")
def built(local_ray, tmp_path_factory):
    """A run with its index, and what was reported meanwhile."""
    run = Run(str(tmp_path_factory.mktemp("run")))
    corpus_of(run, num_parts=2)
    config = config_of(run.folder.path, "--progress.log_interval_sec", "0.001")
    lines: list[str] = []
    build_index(config, run, lines.append)
    return config, run, lines


def test_the_index_is_built_and_recorded(built):
    _, run, lines = built
    record = run.index.record()
    assert not run.index.folder.exists("index.json")
    assert (record.num_vectors, record.dim, record.metric) == (40, 384, "inner_product")
    assert record.recall_at_10 == 1.0
    assert record.corpus.fingerprint == "corpus one"
    assert record.retrieval.model == "bundled:multilingual-e5-small"
    assert (record.retrieval.query_prefix, record.retrieval.passage_prefix) == ("query: ", "passage: ")
    assert "faiss-cpu" in record.versions
    assert lines[-1] == "index: 40 passages × 384, Flat, recall@10 1.00"
    assert lines[0].startswith("embedding: 20 of 40 passages (50%)")
    assert not run.index.folder.exists("_vectors")


def test_prefixes_reach_the_model(built):
    config, run, _ = built
    embedder = load_embedder(config.retrieval, run, "cpu")
    texts = list(TOPICS.values())
    as_passages, as_queries = embedder.embed_passages(texts), embedder.embed_queries(texts)
    for prefix, vectors in (("passage: ", as_passages), ("query: ", as_queries)):
        expected = embedder._encoder.encode([prefix + text for text in texts], normalize_embeddings=True)
        np.testing.assert_allclose(vectors, expected, atol=2e-5)
    assert (as_passages * as_queries).sum(axis=1).max() < 0.99


def test_the_same_again_is_reused(built):
    config, run, _ = built
    before = (
        run.index.folder.read_bytes("index.faiss"),
        Path(run.index.folder.file("index.faiss")).stat().st_mtime_ns,
    )
    lines: list[str] = []
    record = build_index(config, run, lines.append)
    assert record == run.index.record()
    assert lines == ["index: 40 passages × 384, Flat, recall@10 1.00"]
    assert before == (
        run.index.folder.read_bytes("index.faiss"),
        Path(run.index.folder.file("index.faiss")).stat().st_mtime_ns,
    )


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["--retrieval.query_prefix", "''"],
            r"^retrieval.query_prefix: .* was made with 'query: ', but now it is ''",
        ),
        (["--retrieval.passage_prefix", "'text: '"], r"^retrieval.passage_prefix: .* now it is 'text:"),
        (["--retrieval.embedding_tokens", "100"], r"^retrieval.embedding_tokens: .* 512, but now it is 100"),
        (["--retrieval.dtype", "bfloat16"], r"^retrieval.dtype: "),
        (["--retrieval.index_factory", "SQ8"], r"^retrieval.index_factory: .* 'Flat', but now it is 'SQ8'"),
        (["--retrieval.num_training_vectors", "9"], r"^retrieval.num_training_vectors: .* now it is 9"),
        (["--retrieval.num_recall_queries", "9"], r"^retrieval.num_recall_queries: .* now it is 9"),
        (["--seed", "1"], r"^seed: .* was made with 0, but now it is 1"),
    ],
)
def test_other_vectors_are_refused_by_name(built, overrides, message):
    _, run, lines = built
    with pytest.raises(UserError, match=message):
        build_index(config_of(run.folder.path, *overrides), run, lines.append)


def test_another_model_is_refused_by_name(built, tmp_path):
    _, run, lines = built
    (tmp_path / "config.json").write_text(json.dumps({"hidden_size": 384}))
    with pytest.raises(UserError, match=r"^retrieval.model: .*multilingual-e5-small', but now it is "):
        build_index(config_of(run.folder.path, "--retrieval.model", str(tmp_path)), run, lines.append)


def test_another_corpus_is_refused_by_name(built, tmp_path):
    config, run, lines = built
    shutil.copytree(run.folder.path, tmp_path / "run")
    other = Run(str(tmp_path / "run"))
    other.corpus.complete(corpus_record(fingerprint="corpus two"))
    with pytest.raises(UserError, match=r"^corpus.fingerprint: .* 'corpus one', but now it is 'corpus two'"):
        build_index(config, other, lines.append)


def test_a_half_done_index_is_continued_and_its_settings_may_still_change(local_ray, tmp_path):
    half = Run(str(tmp_path / "run"))
    corpus_of(half, num_parts=2)
    lines: list[str] = []
    too_coarse = config_of(tmp_path / "run", "--retrieval.index_factory", "IVF8,Flat", "--retrieval.nprobe", "1",
                           "--retrieval.min_recall", "0.99")  # fmt: skip
    with pytest.raises(UserError, match=r"^retrieval.min_recall: .* raise retrieval.nprobe above 1"):
        build_index(too_coarse, half, lines.append)
    vectors = half.index.folder / "_vectors"
    made = {name: Path(vectors.file(name)).stat().st_mtime_ns for name in vectors.list_names(".npy")}
    assert len(made) == 2
    (half.index.folder / "_vectors").filesystem.delete_file(vectors.file(min(made)))
    finer = config_of(tmp_path / "run", "--retrieval.index_factory", "IVF8,Flat", "--retrieval.nprobe", "8",
                      "--retrieval.min_recall", "0.99", "--progress.log_interval_sec", "0.001")  # fmt: skip
    lines.clear()
    record = build_index(finer, half, lines.append)
    assert record.recall_at_10 == 1.0
    # One shard was there, the other was made again.
    assert [line.split(" passages")[0] for line in lines[:-1]] == ["embedding: 40 of 40"]
    # A finished one is measured again when more lists are visited; its vectors are gone.
    record = build_index(
        too_coarse.model_copy(
            update={"retrieval": finer.retrieval.model_copy(update={"nprobe": 4, "min_recall": 0.5})}
        ),
        half,
        lines.append,
    )
    assert record.nprobe == 4
    assert 0.5 < record.recall_at_10 < 1.0
    assert half.index.record() == record
    finer_still = finer.retrieval.model_copy(update={"nprobe": 4})
    with pytest.raises(UserError, match=r"^retrieval.min_recall: "):
        build_index(finer.model_copy(update={"retrieval": finer_still}), half, lines.append)


@pytest.fixture(scope="module")
def retrievers(built):
    _, run, _ = built
    handles = start_retrievers(config_of(run.folder.path, "--retrieval.num_retrievers", "2"), run)
    yield handles
    for handle in handles:
        ray.kill(handle)


@ray.remote(num_cpus=0)
class Asker:
    """Asks from inside another actor, as the agents do."""

    def __init__(self, pool: RetrieverPool) -> None:
        self.pool = pool

    async def ask(self, question: str) -> tuple[str, str]:
        (document,) = await self.pool.retrieve(Query(question, 5, 1000), question)
        return document.title, document.text


def test_other_actors_ask_and_get_the_right_documents(retrievers):
    assert len(retrievers) == 2
    asker = Asker.remote(RetrieverPool(retrievers))
    found = ray.get([asker.ask.remote(question) for question in QUESTIONS])
    assert [title for title, _ in found] == list(QUESTIONS.values())
    assert all(text.startswith(TOPICS[title]) for title, text in found)


def test_a_killed_retriever_answers_again(retrievers):
    pool = RetrieverPool(retrievers)

    async def ask(number: int) -> str:
        return (await pool.retrieve(Query("How is honey made?", 5, 1000), str(number)))[0].title

    async def ask_while_one_is_killed() -> list[str]:
        asked = [asyncio.create_task(ask(number)) for number in range(20)]
        await asyncio.sleep(0.05)
        ray.kill(retrievers[0], no_restart=False)
        asked += [asyncio.create_task(ask(number)) for number in range(20)]
        return list(await asyncio.gather(*asked))

    assert asyncio.run(ask_while_one_is_killed()) == ["Bees"] * 40
    assert asyncio.run(ask(1)) == "Bees"


def test_a_corpus_is_cut_into_shards_that_cover_it(tmp_path):
    folder = Folder(str(tmp_path))
    long = [f"a{number} " for number in range(150)]
    texts = write_corpus(folder, [[("A", long)], [("B", ["b "] * 64), ("C", ["c "])]], row_group_rows=10)
    plans = plan_shards(folder / "passages")
    assert [(plan.name, plan.num_rows) for plan in plans] == [
        ("part-00000.000000000.npy", 64),
        ("part-00000.000000064.npy", 64),
        ("part-00000.000000128.npy", 22),
        ("part-00001.000000000.npy", 64),
        ("part-00001.000000064.npy", 1),
    ]
    read = [text for plan in plans for texts in read_texts(folder / "passages", plan) for text in texts]
    assert read == texts


def test_progress_is_reported_once_an_interval():
    lines: list[str] = []
    clock = iter([0.0, 10.0, 30.0, 40.0, 50.0, 100.0])
    report_progress([100] * 5, 3_000, 1_000, 30.0, lines.append, lambda: next(clock))
    assert lines == [
        "embedding: 1,200 of 3,000 passages (40%), 6.7 a second, 4m 30s left",
        "embedding: 1,500 of 3,000 passages (50%), 5.0 a second, 5m 00s left",
    ]
