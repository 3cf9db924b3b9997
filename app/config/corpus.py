"""Settings of the corpus: where documents come from and which are excluded."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, field_validator

from app.config.section import OPERATIONAL, Section, Share


class FieldNames(Section):
    """Names of the fields (JSONL) or columns (Parquet) to read. Text and Markdown files have no fields."""

    text: str = "text"
    """Field with the document's text."""
    title: str | None = "title"
    """Field with the title, shown above the document in a long context. Rows without a title are accepted."""


class SourceConfig(Section):
    """One source of documents."""

    path: str
    """File, folder or glob; local, s3:// or gs://."""
    format: Literal["auto", "jsonl", "parquet", "text"] = "auto"
    """`auto` goes by the file name: .jsonl[.gz|.zst], .json[.gz|.zst], .parquet, .txt, .md, .rst."""
    fields: FieldNames = FieldNames()


class DedupConfig(Section):
    """Removal of duplicate documents. Exact duplicates are always removed, because a document's id is a hash of its
    text.
    """

    near: bool = True
    """Whether to remove near-duplicates too, by MinHash."""
    threshold: Annotated[float, Field(gt=0.0, le=1.0)] = 0.8
    """Estimated Jaccard similarity above which two documents count as duplicates, and the share of a document that must
    be part of a longer one for it to count as contained."""
    contained: bool = True
    """Removal of documents that are part of a longer one, such as a story in an anthology; the longer one is kept."""
    num_permutations: PositiveInt = 128
    shingle_words: PositiveInt = 5


class DecontaminationConfig(Section):
    """Removal of documents that share text with a benchmark."""

    paths: list[str] = []
    """Files, folders or globs with evaluation text, in any format that the corpus can have."""
    ruler: bool = True
    """Whether to exclude RULER's texts too, if `python -m app.models.bundled ruler` has put them in the cache."""
    ngram_words: PositiveInt = 13


class CorpusConfig(Section):
    """Documents → passages."""

    sources: list[SourceConfig]
    max_document_bytes: PositiveInt = 10_000_000
    """Largest document. A larger one is rejected, not truncated."""
    max_reject_share: Annotated[Share, Field(json_schema_extra=OPERATIONAL)] = 0.05
    """Largest share of malformed rows; with more, the job stops."""
    passage_tokens: Annotated[int, Field(ge=8)] = 384
    """Most tokens in a passage, counted with the generator's tokenizer."""
    documents_per_shard: PositiveInt = 20_000
    dedup: DedupConfig = DedupConfig()
    decontamination: DecontaminationConfig = DecontaminationConfig()

    @field_validator("sources")
    @classmethod
    def _not_empty(cls, sources: list[SourceConfig]) -> list[SourceConfig]:
        if not sources:
            raise ValueError("is empty; name at least one `path`")
        return sources
