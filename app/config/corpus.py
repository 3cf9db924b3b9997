"""Settings of the corpus: where documents come from and which are left out."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, field_validator

from app.config.section import OPERATIONAL, Section, Share


class FieldNames(Section):
    """Which field (JSONL) or column (Parquet) holds what. Text and Markdown files have no fields."""

    text: str = "text"
    """The document's text."""
    title: str | None = "title"
    """Shown above the document in a long context; a row without it is fine."""


class SourceConfig(Section):
    """One place that documents come from."""

    path: str
    """File, folder, glob, or the same under s3:// or gs://."""
    format: Literal["auto", "jsonl", "parquet", "text"] = "auto"
    """`auto` goes by the name: .jsonl[.gz|.zst], .json[.gz|.zst], .parquet, .txt, .md, .rst."""
    fields: FieldNames = FieldNames()


class DedupConfig(Section):
    """Removal of repeated documents. Exact repeats always go, as a document's id is its content's hash."""

    near: bool = True
    """MinHash near-duplicate removal."""
    threshold: Annotated[float, Field(gt=0.0, le=1.0)] = 0.8
    """Estimated Jaccard similarity from which two documents count as one. Also the share of a document that must stand
    in a longer one for it to count as a part of that."""
    contained: bool = True
    """Removal of documents that stand in a longer one, such as a story beside its anthology; the longer one stays."""
    num_permutations: PositiveInt = 128
    shingle_words: PositiveInt = 5


class DecontaminationConfig(Section):
    """Removal of documents that share text with a benchmark."""

    paths: list[str] = []
    """Files, folders or globs of evaluation text, in any format that the corpus is read in."""
    ruler: bool = True
    """Also RULER's ingredients, where `python -m app.models.bundled ruler` has put them in the cache."""
    ngram_words: PositiveInt = 13


class CorpusConfig(Section):
    """Documents → passages."""

    sources: list[SourceConfig]
    max_document_bytes: PositiveInt = 10_000_000
    """A larger document is rejected, not cut."""
    max_reject_share: Annotated[Share, Field(json_schema_extra=OPERATIONAL)] = 0.05
    """The job stops when more than this share of the rows is malformed."""
    passage_tokens: Annotated[int, Field(ge=8)] = 384
    """Most tokens of a passage, in the generator's tokenizer."""
    documents_per_shard: PositiveInt = 20_000
    dedup: DedupConfig = DedupConfig()
    decontamination: DecontaminationConfig = DecontaminationConfig()

    @field_validator("sources")
    @classmethod
    def _not_empty(cls, sources: list[SourceConfig]) -> list[SourceConfig]:
        if not sources:
            raise ValueError("is empty; name at least one `path`")
        return sources
