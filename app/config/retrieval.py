"""Settings of the index and the retriever."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from app.config.checks import check_range
from app.config.section import OPERATIONAL, NodeLabels, Section, Share


class RetrievalConfig(Section):
    """Passages → vectors → index → ranked documents."""

    model: str
    """sentence-transformers model: hub name, local, s3:// or gs:// folder, or bundled:multilingual-e5-small."""
    revision: str | None = None
    query_prefix: str | None = None
    """Text before every query. If omitted, what the model's card asks for (`query: `, or an instruction)."""
    passage_prefix: str | None = None
    """Text before every passage. If omitted, what the model's card asks for (`passage: `, or nothing)."""
    embedding_tokens: PositiveInt = 512
    """Most tokens that the embedder reads at once, counted with its own tokenizer. A longer passage is embedded in
    pieces."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    batch_size: Annotated[PositiveInt, Field(json_schema_extra=OPERATIONAL)] = 32
    index_factory: str = "Flat"
    """FAISS factory string, for inner product: `Flat`, `IVF4096,PQ64`, `IVF65536_HNSW32,PQ64` …"""
    nprobe: PositiveInt = 64
    """Inverted lists that a query visits, for IVF indexes."""
    num_training_vectors: PositiveInt = 1_000_000
    """Vectors sampled to train an index that needs training."""
    num_recall_queries: PositiveInt = 200
    """Passages sampled to measure the recall of a new index against exact search."""
    min_recall: Annotated[Share, Field(json_schema_extra=OPERATIONAL)] = 0.5
    """Lowest recall@10; an index below it is refused."""
    min_embed_actors: Annotated[PositiveInt, Field(json_schema_extra=OPERATIONAL)] = 1
    max_embed_actors: Annotated[PositiveInt, Field(json_schema_extra=OPERATIONAL)] = 1
    cpus_per_embed_actor: Annotated[float, Field(ge=0, json_schema_extra=OPERATIONAL)] = 1.0
    gpus_per_embed_actor: Annotated[float, Field(ge=0, json_schema_extra=OPERATIONAL)] = 0.0
    num_retrievers: Annotated[PositiveInt, Field(json_schema_extra=OPERATIONAL)] = 1
    """Number of retriever actors; queries are spread over them."""
    cpus_per_retriever: Annotated[float, Field(ge=0, json_schema_extra=OPERATIONAL)] = 0.0
    gpus_per_retriever: Annotated[float, Field(ge=0, json_schema_extra=OPERATIONAL)] = 0.0
    node_labels: Annotated[NodeLabels, Field(json_schema_extra=OPERATIONAL)] = {}
    """Labels of the nodes that embed, build the index and retrieve, e.g. {pool: generate}."""

    @model_validator(mode="after")
    def _range_is_ordered(self) -> "RetrievalConfig":
        check_range("embed_actors", self.min_embed_actors, self.max_embed_actors)
        return self
