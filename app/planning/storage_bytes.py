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
"""Of a parameter in a checkpoint: float32 weight and AdamW's two moments."""
REPLY_BYTES = 200
"""Of a call's file in the journal, beside the reply's text."""


def text_bytes(num_tokens: float) -> float:
    """Of English text."""
    return num_tokens * CHARS_PER_TOKEN * ZSTD_SHARE


def corpus_bytes(corpus: CorpusPlan) -> float:
    """Documents, and once more as passages."""
    return 2 * text_bytes(corpus.num_tokens) + ROW_BYTES * corpus.num_passages


def index_bytes(factory: str, dim: int, num_vectors: int) -> float:
    """Of a FAISS index: each vector's code as FAISS says, and a number of 8 bytes in an inverted file.

    Raises:
        UserError: FAISS makes no such index.
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
    """Examples, twice until the dataset is finished, and the journal of calls until then."""
    replies = sum(each.output_tokens * CHARS_PER_TOKEN + each.num_calls * REPLY_BYTES for each in calls)
    return 2 * text_bytes(num_tokens) + replies


def tokenized_bytes(num_tokens: float) -> float:
    """Of a source's tokens, or a stage's packed sequences."""
    return TOKEN_BYTES * num_tokens


def checkpoints_bytes(train: TrainConfig, shape: ModelShape) -> float:
    """Of one stage: those that are kept, and the one that is being written."""
    return (train.num_checkpoints_kept + 1) * MASTER_BYTES * shape.num_parameters


def export_bytes(train: TrainConfig, shape: ModelShape) -> float:
    """Of one stage's model."""
    return DTYPE_BYTES[train.export_dtype] * shape.num_parameters
