"""The index folder of a run: its identity, and how its files are built and opened.

    index/settings.json        what its vectors are made of (`identity_of_vectors`)
    index/_vectors/            shards of vectors; gone when the index is complete
    index/_vectors/built.json  the files below as they were built (`IndexFiles`)
    index/index.faiss, *.npy   the index and its rows' documents, to be mapped into memory
    index/recall_sample.npz    passages with their true neighbours
    index/_complete.json       all about it: identity, dim, metric, factory, recall, versions (`IndexRecord`)

What describes the files is written after them and taken away before they change.
"""

import json
from pathlib import Path

from app.config import RetrievalConfig, cache_dir
from app.local_copies import local_files
from app.records.documents import CorpusSettings, IndexFiles, IndexRecord, VectorSettings
from app.retrieval.embedder import Embedder, Prefixes
from app.retrieval.identity import settings_of_build
from app.retrieval.index import INDEX_FILE, SearchIndex, create_index, fill_index, save_index
from app.retrieval.passages import ROW_FILES, PassageStore, write_row_files
from app.retrieval.recall import RecallSample, check_recall
from app.retrieval.retriever import Retriever
from app.retrieval.vectors import VectorShards
from app.run import Run, read_identity
from app.storage import Folder
from app.versions import installed_versions

VECTORS_FOLDER = "_vectors"
BUILT_FILE = "built.json"


def load_embedder(config: RetrievalConfig, run: Run, device: str) -> Embedder:
    """The embedder of the run's index, with the revision and prefixes that its vectors were made with."""
    made_with = _claimed(run)
    assert made_with.model == config.model, "the index was claimed with these settings"
    prefixes = Prefixes(made_with.query_prefix, made_with.passage_prefix)
    return Embedder.load(config, prefixes, made_with.revision, device)


def make_index(config: RetrievalConfig, run: Run, shards: VectorShards, seed: int) -> IndexFiles:
    """Turn vectors into the index's files; at once if they are there and were made from the same settings.

    Raises:
        UserError: The index factory does not fit.
    """
    folder, vectors = run.index.folder, run.index.folder / VECTORS_FOLDER
    retrieval = _claimed(run)
    assert retrieval.dim in (None, shards.dim), f"vectors of {shards.dim} from a model of {retrieval.dim}"
    build = settings_of_build(config, seed)
    if vectors.exists(BUILT_FILE):
        built = IndexFiles.read(vectors, BUILT_FILE)
        if built.build == build:
            return built
        # From here until it is written again, the files belong to no record.
        vectors.filesystem.delete_file(vectors.file(BUILT_FILE))
    index = create_index(config, shards.num_vectors, shards.dim)
    fill_index(index, shards, config, seed)
    save_index(index, folder)
    num_rows = write_row_files(run.corpus.folder, folder)
    assert num_rows == shards.num_vectors, f"{shards.num_vectors} vectors for {num_rows} passages"
    RecallSample.search_exactly(shards, config.num_recall_queries, seed).save(folder)
    built = IndexFiles(
        retrieval=retrieval,
        corpus=CorpusSettings(fingerprint=run.corpus.record().fingerprint),
        dim=shards.dim,
        metric="inner_product",
        num_vectors=shards.num_vectors,
        build=build,
        versions=installed_versions(),
    )
    built.write(vectors, BUILT_FILE)
    return built


def measure_index(config: RetrievalConfig, run: Run, built: IndexFiles) -> IndexRecord:
    """Measure the recall of an index at `retrieval.nprobe`.

    Raises:
        UserError: It is below `retrieval.min_recall`.
    """
    folder = run.index.folder
    index = _open_index(_localize(folder, built), built, config.nprobe)
    recall = RecallSample.load(folder).recall(index)
    check_recall(config, recall)
    files = {name: getattr(built, name) for name in IndexFiles.model_fields}
    return IndexRecord(**files, nprobe=config.nprobe, recall_at_10=round(recall, 4))


def open_retriever(config: RetrievalConfig, run: Run, device: str) -> Retriever:
    """Retriever over the run's complete index; a remote one is first copied into this node's cache."""
    assert run.index.is_complete(), "the index is built before it is asked"
    record = run.index.record()
    local = _localize(run.index.folder, record)
    return Retriever(
        load_embedder(config, run, device),
        _open_index(local, record, config.nprobe),
        PassageStore(local, run.corpus.folder),
    )


def _claimed(run: Run) -> VectorSettings:
    claimed = read_identity(run.index.folder)
    assert claimed is not None, "the index is claimed before it is made"
    return VectorSettings.model_validate(claimed["retrieval"])


def _localize(folder: Folder, built: IndexFiles) -> Path:
    version = json.dumps(built.model_dump(include={"retrieval", "corpus", "build"}), sort_keys=True)
    return local_files(folder, (INDEX_FILE, *ROW_FILES), version, cache_dir())


def _open_index(local: Path, built: IndexFiles, nprobe: int) -> SearchIndex:
    return SearchIndex.open(local / INDEX_FILE, built.build.index_factory, nprobe)
