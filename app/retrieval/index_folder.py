"""The index folder of a run: what its vectors are made of, making its files, and opening them.

    index/settings.json        what its vectors are made of (`vector_identity`)
    index/_vectors/            shards of vectors; gone when the index is complete
    index/index.faiss, *.npy   the index and its rows' documents, to be mapped into memory
    index/recall_sample.npz    passages with their true neighbours
    index/index.json           all about it: identity, dim, metric, factory, recall, versions

The record is written after the files that it describes and taken away before they change.
"""

import json
from pathlib import Path
from typing import Any

from app.config import RetrievalConfig, cache_dir
from app.local_copies import local_files
from app.retrieval.embedder import Embedder, Prefixes, resolve_prefixes
from app.retrieval.index import INDEX_FILE, SearchIndex, create_index, fill_index, save_index
from app.retrieval.model_facts import ModelFacts
from app.retrieval.passages import ROW_FILES, PassageStore, write_row_files
from app.retrieval.recall import RecallSample, check_recall
from app.retrieval.retriever import Retriever
from app.retrieval.vectors import VectorShards
from app.run import SETTINGS_FILE, Run
from app.storage import Folder
from app.versions import installed_versions

RECORD_FILE = "index.json"
VECTORS_FOLDER = "_vectors"


def vector_identity(config: RetrievalConfig, facts: ModelFacts, corpus_fingerprint: str) -> dict[str, Any]:
    """All that decides what a vector is: vectors may stand in one index only if they agree in all of it."""
    prefixes = resolve_prefixes(config.model, facts.prompts, config.query_prefix, config.passage_prefix)
    return {
        "retrieval": {
            "model": config.model,
            "revision": facts.revision or config.revision,
            "model_files": facts.files_hash,
            "query_prefix": prefixes.query,
            "passage_prefix": prefixes.passage,
            "embedding_tokens": config.embedding_tokens,
            "dtype": config.dtype,
            "dim": facts.dim,
        },
        "corpus": {"fingerprint": corpus_fingerprint},
    }


def build_settings(config: RetrievalConfig, seed: int) -> dict[str, Any]:
    """What decides, beside its vectors, what an index is."""
    return {
        "index_factory": config.index_factory,
        "num_training_vectors": config.num_training_vectors,
        "num_recall_queries": config.num_recall_queries,
        "seed": seed,
    }


def load_embedder(config: RetrievalConfig, run: Run, device: str) -> Embedder:
    """The embedder of the run's index, with the revision and prefixes that its vectors were made with."""
    made_with = run.index.folder.read_json(SETTINGS_FILE)["retrieval"]
    assert made_with["model"] == config.model, "the index was claimed with these settings"
    prefixes = Prefixes(made_with["query_prefix"], made_with["passage_prefix"])
    return Embedder.load(config, prefixes, made_with["revision"], device)


def make_index(config: RetrievalConfig, run: Run, shards: VectorShards, seed: int) -> None:
    """Turn vectors into the index's files; at once if they are there and were made from the same settings.

    Raises:
        UserError: the index factory does not fit.
    """
    folder = run.index.folder
    made_with = folder.read_json(SETTINGS_FILE)
    known_dim = made_with["retrieval"]["dim"]
    assert known_dim in (None, shards.dim), f"vectors of {shards.dim} from a model of {known_dim}"
    build = build_settings(config, seed)
    if folder.exists(RECORD_FILE):
        if folder.read_json(RECORD_FILE)["build"] == build:
            return
        # From here until it is written again, the files belong to no record.
        folder.filesystem.delete_file(folder.file(RECORD_FILE))
    index = create_index(config, shards.num_vectors, shards.dim)
    fill_index(index, shards, config, seed)
    save_index(index, folder)
    num_rows = write_row_files(run.corpus.folder, folder)
    assert num_rows == shards.num_vectors, f"{shards.num_vectors} vectors for {num_rows} passages"
    RecallSample.search_exactly(shards, config.num_recall_queries, seed).save(folder)
    record = {
        **made_with,
        "dim": shards.dim,
        "metric": "inner_product",
        "num_vectors": shards.num_vectors,
        "build": build,
        "versions": installed_versions(),
    }
    folder.write_json(RECORD_FILE, record)


def measure_index(config: RetrievalConfig, run: Run) -> dict[str, Any]:
    """Measure the index's recall at `retrieval.nprobe`, write it into its record, and return that.

    Raises:
        UserError: it is below `retrieval.min_recall`.
    """
    folder = run.index.folder
    record = folder.read_json(RECORD_FILE)
    index = _open_index(_localize(folder, record), record, config.nprobe)
    recall = RecallSample.load(folder).recall(index)
    check_recall(config, recall)
    record |= {"nprobe": config.nprobe, "recall_at_10": round(recall, 4)}
    folder.write_json(RECORD_FILE, record)
    return dict(record)


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


def _localize(folder: Folder, record: dict[str, Any]) -> Path:
    version = json.dumps({key: record[key] for key in ("retrieval", "corpus", "build")}, sort_keys=True)
    return local_files(folder, (INDEX_FILE, *ROW_FILES), version, cache_dir())


def _open_index(local: Path, record: dict[str, Any], nprobe: int) -> SearchIndex:
    return SearchIndex.open(local / INDEX_FILE, record["build"]["index_factory"], nprobe)
