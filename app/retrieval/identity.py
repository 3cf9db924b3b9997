"""What decides an index: its vectors, how they are put into it, and how it is searched."""

from typing import Any

from app.config import RetrievalConfig, identity
from app.models.embedding_model import ModelFacts
from app.records.documents import BuildSettings
from app.retrieval.embedder import resolve_prefixes

_OF_BUILD = ("index_factory", "num_training_vectors", "num_recall_queries")
_OF_SEARCH = ("nprobe",)


def identity_of_vectors(
    config: RetrievalConfig, facts: ModelFacts, corpus_fingerprint: str
) -> dict[str, Any]:
    """All that decides what a vector is: vectors may stand in one index only if they agree in all of it."""
    prefixes = resolve_prefixes(config.model, facts.prompts, config.query_prefix, config.passage_prefix)
    settings = {
        name: value for name, value in identity(config).items() if name not in (*_OF_BUILD, *_OF_SEARCH)
    }
    resolved = {
        "revision": facts.revision or config.revision,
        "model_files": facts.files_hash,
        "query_prefix": prefixes.query,
        "passage_prefix": prefixes.passage,
        "dim": facts.dim,
    }
    return {"retrieval": settings | resolved, "corpus": {"fingerprint": corpus_fingerprint}}


def settings_of_build(config: RetrievalConfig, seed: int) -> BuildSettings:
    """What decides, beside its vectors, what an index is."""
    settings = identity(config)
    return BuildSettings(**{name: settings[name] for name in _OF_BUILD}, seed=seed)


def identity_of_index(
    config: RetrievalConfig, seed: int, facts: ModelFacts, corpus_fingerprint: str
) -> dict[str, Any]:
    """All that decides what an index is and finds: a part of its record."""
    settings = identity(config)
    return {
        **identity_of_vectors(config, facts, corpus_fingerprint),
        "build": settings_of_build(config, seed).values(),
        **{name: settings[name] for name in _OF_SEARCH},
    }
