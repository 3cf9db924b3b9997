"""Records of the corpus and its index."""

from app.records.record import Record


class Decontamination(Record):
    """What the corpus was compared with."""

    num_files: int
    num_strings: int
    num_ngrams: int


class CorpusRecord(Record):
    """What a complete corpus holds."""

    num_documents: int
    num_passages: int
    num_tokens: int
    num_chars: int
    max_document_tokens: int
    num_rows: int
    """Rows that were read, malformed ones included."""
    num_rejects: dict[str, dict[str, int]]
    """Documents left out, by step and reason."""
    reject_share: float
    """Malformed rows among all rows."""
    decontamination: Decontamination
    fingerprint: str
    """Hash of the documents' ids and of the corpus's identity."""


class VectorSettings(Record):
    """What decides a vector, beside its passage."""

    model: str
    revision: str | None
    model_files: str
    """Hash of the model's files."""
    query_prefix: str
    passage_prefix: str
    embedding_tokens: int
    dtype: str
    dim: int | None
    """None: the model's files do not tell; the vectors do."""


class CorpusSettings(Record):
    """Which corpus the passages are of."""

    fingerprint: str


class BuildSettings(Record):
    """What decides an index, beside its vectors."""

    index_factory: str
    num_training_vectors: int
    num_recall_queries: int
    seed: int


class IndexFiles(Record):
    """The index's files as they were built."""

    retrieval: VectorSettings
    corpus: CorpusSettings
    dim: int
    metric: str
    num_vectors: int
    build: BuildSettings
    versions: dict[str, str]
    """Package → version."""


class IndexRecord(IndexFiles):
    """What a complete index holds, and how well it finds."""

    nprobe: int
    """Inverted lists that the recall was measured with."""
    recall_at_10: float
