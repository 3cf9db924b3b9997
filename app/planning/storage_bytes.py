"""Bytes on shared storage, by artefact. Text is stored with zstd."""

from app.config import TrainConfig
from app.models.shape import ModelShape
from app.planning.calls import StepCalls
from app.planning.corpus import CHARS_PER_TOKEN, ZSTD_SHARE, CorpusPlan
from app.quantities import DTYPE_BYTES

ROW_BYTES = 32
"""Of ids, offsets and counts beside a passage's text."""
VECTOR_ROW_BYTES = 8
"""Of a vector's document and token count."""
TOKEN_BYTES = 5
"""Of a packed token: int32 and what is learned of it."""
MASTER_BYTES = 12
"""Bytes per parameter in a checkpoint: the float32 weight and AdamW's two moments."""
REPLY_BYTES = 200
"""Bytes of a call's file in the journal, in addition to the reply's text."""


def text_bytes(num_tokens: float) -> float:
    """Stored size of English text."""
    return num_tokens * CHARS_PER_TOKEN * ZSTD_SHARE


def corpus_bytes(corpus: CorpusPlan) -> float:
    """Size of a corpus, which is stored twice: as documents and as passages."""
    return 2 * text_bytes(corpus.num_tokens) + ROW_BYTES * corpus.num_passages


def index_bytes(factory: str, dim: int, num_vectors: int) -> float:
    """Size of a FAISS index: the code of each vector, as FAISS computes it, plus an 8-byte id in an inverted file.

    Raises:
        UserError: FAISS knows no such index.
    """
    import faiss

    from app.retrieval.preflight import check_index_factory

    check_index_factory(factory, dim)
    index = faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
    inverted = faiss.try_extract_index_ivf(index)
    if inverted is None:
        return num_vectors * (index.sa_code_size() + VECTOR_ROW_BYTES)
    return num_vectors * (inverted.code_size + 8 + VECTOR_ROW_BYTES) + inverted.nlist * 4 * dim


def dataset_bytes(num_tokens: float, calls: list[StepCalls]) -> float:
    """Peak size of a dataset: until it is finished, examples are stored twice, next to the journal of calls."""
    replies = sum(each.output_tokens * CHARS_PER_TOKEN + each.num_calls * REPLY_BYTES for each in calls)
    return 2 * text_bytes(num_tokens) + replies


def tokenized_bytes(num_tokens: float) -> float:
    """Size of a source's tokens, or of a stage's packed sequences."""
    return TOKEN_BYTES * num_tokens


def checkpoints_bytes(train: TrainConfig, shape: ModelShape) -> float:
    """Size of one stage's checkpoints: those that are kept, and the one being written."""
    return (train.num_checkpoints_kept + 1) * MASTER_BYTES * shape.num_parameters


def export_bytes(train: TrainConfig, shape: ModelShape) -> float:
    """Size of one stage's exported model."""
    return DTYPE_BYTES[train.export_dtype] * shape.num_parameters
