"""Passages → vectors → the index, built once and reused."""

import ray

from app.cluster.tasks import fetch
from app.config import Config, RetrievalConfig
from app.faults import UserError
from app.models.embedding_model import describe_model
from app.progress.attempts import Report
from app.records.documents import IndexFiles, IndexRecord
from app.retrieval.embedder import check_embedding_tokens
from app.retrieval.embedding import ShardPlan, embed_corpus, num_node_cores, plan_shards
from app.retrieval.identity import identity_of_vectors, settings_of_build
from app.retrieval.index import create_index
from app.retrieval.index_folder import (
    VECTORS_FOLDER,
    make_index,
    measure_index,
)
from app.retrieval.recall import check_recall
from app.retrieval.vectors import VectorShard, VectorShards
from app.run import PASSAGES_DIR, Run, differences


def build_index(config: Config, run: Run, report: Report) -> IndexRecord:
    """Make sure that the run has its index, and return the index's record.

    A finished one is reused, a half-finished one continued.

    Args:
        config: The run's settings.
        run: The run, with a complete corpus.
        report: Takes lines for a person to read.

    Raises:
        UserError: The model can't be had, the index there was made with other settings, its factory does not fit, or
            its recall is too low.
    """
    retrieval = config.retrieval
    facts = describe_model(retrieval.model, retrieval.revision)
    check_embedding_tokens(retrieval, facts.max_tokens)
    corpus = run.corpus.record()
    if facts.dim is not None and not run.index.is_complete():
        # Here and not after hours of embedding; thrown away at once.
        create_index(retrieval, corpus.num_passages, facts.dim)
    run.index.claim(identity_of_vectors(retrieval, facts, corpus.fingerprint))
    if run.index.is_complete():
        record = _reuse(config, run)
    else:
        plans = plan_shards(run.corpus.folder / PASSAGES_DIR)
        embed_corpus(config, run, plans, report)
        num_gpus = retrieval.gpus_per_embed_actor
        build = _build.options(
            num_cpus=max(1.0, retrieval.cpus_per_embed_actor),
            num_gpus=num_gpus,
            label_selector=retrieval.node_labels,
        )
        record = fetch(build.remote(retrieval, run, plans, config.seed))
        run.index.complete(record)
    (run.index.folder / VECTORS_FOLDER).delete()
    factory, recall = record.build.index_factory, record.recall_at_10
    report(f"index: {record.num_vectors:,} passages × {record.dim}, {factory}, recall@10 {recall:.2f}")
    return record


def _reuse(config: Config, run: Run) -> IndexRecord:
    retrieval = config.retrieval
    record = run.index.record()
    wanted = settings_of_build(retrieval, config.seed)
    for name, was, now in differences(record.build.values(), wanted.values()):
        field = name if name == "seed" else f"retrieval.{name}"
        raise UserError(
            f"{field}: {run.index.folder.uri} was made with {was!r}, but now it is {now!r}, and its vectors are no "
            f"longer kept; change it back, or give another run_dir"
        )
    if "IVF" in retrieval.index_factory and record.nprobe != retrieval.nprobe:
        measure = _measure.options(label_selector=retrieval.node_labels)
        record = fetch(measure.remote(retrieval, run, record))
        run.index.complete(record)
    check_recall(retrieval, record.recall_at_10)
    return record


@ray.remote(max_retries=1)
def _build(retrieval: RetrievalConfig, run: Run, plans: list[ShardPlan], seed: int) -> IndexRecord:
    _use_all_cores()
    shards = VectorShards(
        run.index.folder / VECTORS_FOLDER, [VectorShard(plan.name, plan.num_rows) for plan in plans]
    )
    return measure_index(retrieval, run, make_index(retrieval, run, shards, seed))


@ray.remote(max_retries=1)
def _measure(retrieval: RetrievalConfig, run: Run, built: IndexFiles) -> IndexRecord:
    _use_all_cores()
    return measure_index(retrieval, run, built)


def _use_all_cores() -> None:
    """While the index is built the job does nothing else; Ray would leave FAISS one thread a reserved CPU."""
    import faiss

    faiss.omp_set_num_threads(num_node_cores())
