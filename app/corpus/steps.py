"""The two passes over the corpus, as functions of one unit or one shard that any process can run and repeat.

First pass, `scan_unit`: input rows → documents with their sketches, and rejects. Between the passes
`app.corpus.repeats` finds out which documents are repeats. Second pass, `finish_shard`: repeats and
contaminated documents out, the others tokenized and cut into passages. Each writes its record last: where a
record is, the work is done.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from itertools import islice

import pyarrow.parquet as pq

from app.config import CorpusConfig
from app.corpus.chunking import UnsplittableError, passages_of, split_text
from app.corpus.decontamination import Contaminants
from app.corpus.reader import read_file
from app.corpus.repeats import SAMPLE_SCHEMA, SCAN_SCHEMA, Repeat, read_repeats, sketch_row, sketch_schema
from app.corpus.rows import Lost
from app.corpus.shards import CorpusLayout, ShardName, ShardWriter, open_shard
from app.corpus.units import WorkUnit
from app.schema import DOCUMENT_SCHEMA, PASSAGE_SCHEMA, REJECT_SCHEMA, Document, Reject
from app.tokens import Tokenizer

DOCUMENT_GROUP_ROWS = 128
"""Small, so that a single document can be fetched without reading many."""
PASSAGE_GROUP_ROWS = 256
"""A retriever reads a row group for each passage of a context, as a large corpus has hardly two of one query together:
of 1,024 rows it takes more than twice as long; of 64 a part has a fifth more bytes, and a footer that takes longer."""
_REJECT_GROUP_ROWS = 16_384
_SAMPLE_GROUP_ROWS = 1_000_000


@dataclass
class UnitRecord:
    """Result of the first pass over a unit."""

    shard_documents: list[int] = field(default_factory=list)
    """Documents of each of its shards."""
    num_rejects: dict[str, int] = field(default_factory=dict)
    """By reason."""
    broken_files: list[str] = field(default_factory=list)
    """Names of the files that could not be read to their end."""
    lost_bytes: int = 0
    """Of these, as they are stored."""
    first_reject: str = ""
    """One of the rejects, to show."""


@dataclass
class ShardRecord:
    """Result of the second pass over a shard."""

    num_documents: int = 0
    num_passages: int = 0
    num_tokens: int = 0
    num_chars: int = 0
    max_document_tokens: int = 0
    num_rejects: dict[str, dict[str, int]] = field(default_factory=dict)
    """Number of rejects by step and reason."""
    ids_hash: str = ""
    """Hash of the documents' ids, in order."""


def scan_unit(unit: WorkUnit, layout: CorpusLayout, settings: CorpusConfig) -> UnitRecord:
    """Read a unit's files into shards; at once if that is done.

    Raises:
        UserError: A file lacks a column that the settings name.
        app.corpus.streams.StorageError: the storage failed.
    """
    record_name = f"unit-{unit.index:05d}.json"
    if layout.scan.exists(record_name):
        return UnitRecord(**layout.scan.read_json(record_name))
    record = UnitRecord()
    reject_name = f"part-{unit.index:05d}-read.parquet"
    with open_shard(layout.rejects, reject_name, REJECT_SCHEMA, _REJECT_GROUP_ROWS) as rejects:
        documents = _read_unit(unit, settings, rejects, record)
        while not record.shard_documents or record.shard_documents[-1] == settings.documents_per_shard:
            shard = ShardName(unit.index, len(record.shard_documents))
            head = islice(documents, settings.documents_per_shard)
            record.shard_documents.append(_write_scan(shard, head, layout, settings))
    layout.scan.write_json(record_name, asdict(record))
    return record


def _read_unit(
    unit: WorkUnit, settings: CorpusConfig, rejects: ShardWriter, record: UnitRecord
) -> Iterator[Document]:
    for file in unit.files:
        for row in read_file(file, settings.max_document_bytes, unit.row_groups):
            if isinstance(row, Document):
                yield row
                continue
            rejects.add(row.row_id, row.step, row.reason, row.detail)
            record.num_rejects[row.reason] = record.num_rejects.get(row.reason, 0) + 1
            if isinstance(row, Lost):
                record.broken_files.append(row.file)
                record.lost_bytes += row.lost_bytes
            record.first_reject = record.first_reject or f"{row.row_id}: {row.reason} ({row.detail})"


def _write_scan(
    shard: ShardName, documents: Iterator[Document], layout: CorpusLayout, settings: CorpusConfig
) -> int:
    """Documents of one shard as they were read, and apart from them the sketches, which are read alone."""
    first_order = shard.first_order(settings.documents_per_shard)
    num_documents = 0
    schema = sketch_schema(settings.dedup)
    with (
        open_shard(layout.scan, shard.part, SCAN_SCHEMA, DOCUMENT_GROUP_ROWS) as texts,
        open_shard(layout.scan, f"sketch-{shard}.parquet", schema, settings.documents_per_shard) as sketches,
        open_shard(layout.scan, f"samples-{shard}.parquet", SAMPLE_SCHEMA, _SAMPLE_GROUP_ROWS) as samples,
    ):
        for document in documents:
            values = (document.document_id, document.text, document.title, document.source, document.line)
            texts.add(*values, num_chars=len(document.text))
            order = first_order + num_documents
            sketch, sampled = sketch_row(order, document, settings.dedup)
            sketches.add(*sketch)
            for sample in sampled:
                samples.add(order, sample)
            num_documents += 1
    return num_documents


def finish_shard(
    shard: ShardName,
    layout: CorpusLayout,
    settings: CorpusConfig,
    tokenizer: Tokenizer,
    contaminants: Contaminants,
) -> ShardRecord:
    """Sort out and cut the documents of one shard; at once if that is done."""
    record_name = f"finished-{shard}.json"
    if layout.scan.exists(record_name):
        return ShardRecord(**layout.scan.read_json(record_name))
    record, ids_hash = ShardRecord(), hashlib.sha256()
    num_rejects: Counter[tuple[str, str]] = Counter()
    first_order = shard.first_order(settings.documents_per_shard)
    repeats = read_repeats(layout, first_order, settings.documents_per_shard)
    tokenizer = _loaded(tokenizer)
    with (
        open_shard(layout.documents, shard.part, DOCUMENT_SCHEMA, DOCUMENT_GROUP_ROWS) as kept,
        open_shard(layout.passages, shard.part, PASSAGE_SCHEMA, PASSAGE_GROUP_ROWS) as passages,
        open_shard(layout.rejects, shard.part, REJECT_SCHEMA, _REJECT_GROUP_ROWS) as rejects,
    ):
        for order, document in enumerate(_read_scan(shard, layout), start=first_order):
            reject = find_fault(document, repeats.get(order), contaminants, tokenizer.control_tokens)
            if reject is None:
                try:
                    split = split_text(document.text, tokenizer, settings.passage_tokens)
                except UnsplittableError as error:
                    reject = _reject(document, "chunking", "unsplittable", str(error))
            if reject is not None:
                rejects.add(reject.row_id, reject.step, reject.reason, reject.detail)
                num_rejects[reject.step, reject.reason] += 1
                continue
            num_chars = len(document.text)
            kept.add(
                document.document_id,
                document.text,
                document.title,
                document.source,
                document.line,
                split.num_tokens,
                num_chars=num_chars,
            )
            for item in passages_of(document, split):
                span = (item.start_char, item.end_char, item.num_tokens)
                passages.add(item.passage_id, item.document_id, *span, item.text, num_chars=len(item.text))
            ids_hash.update(document.document_id.encode())
            record.num_documents += 1
            record.num_passages += len(split.spans)
            record.num_tokens += split.num_tokens
            record.num_chars += num_chars
            record.max_document_tokens = max(record.max_document_tokens, split.num_tokens)
    record.ids_hash = ids_hash.hexdigest()
    for (step, reason), count in sorted(num_rejects.items()):
        record.num_rejects.setdefault(step, {})[reason] = count
    layout.scan.write_json(record_name, asdict(record))
    return record


def find_fault(
    document: Document, repeat: Repeat | None, contaminants: Contaminants, control_tokens: Sequence[str]
) -> Reject | None:
    """Why a well-formed document is left out; None for one that stays.

    A document that spells a control token of the model (`<|im_end|>`) would end a turn of the chat it stands in. Its
    title stands there too, on one line.
    """
    if repeat is not None:
        return _reject(document, "dedup", repeat.reason, repeat.document_id)
    texts = (" ".join(document.title.split()), document.text)
    for token in control_tokens:
        if any(token in text for text in texts):
            return _reject(document, "tokens", "control token", token)
    for text in texts:
        if (shared := contaminants.find_contamination(text)) is not None:
            return _reject(document, "decontamination", "evaluation text", shared)
    return None


def _reject(document: Document, step: str, reason: str, detail: str) -> Reject:
    return Reject(row_id=f"{document.source}:{document.line}", step=step, reason=reason, detail=detail)


def _read_scan(shard: ShardName, layout: CorpusLayout) -> Iterator[Document]:
    with layout.scan.filesystem.open_input_file(layout.scan.file(shard.part)) as stream:
        for batch in pq.ParquetFile(stream).iter_batches(DOCUMENT_GROUP_ROWS):
            for row in batch.to_pylist():
                yield Document(**row)


@lru_cache(maxsize=2)
def _loaded(tokenizer: Tokenizer) -> Tokenizer:
    """Load the tokenizer once per process, for all its shards."""
    return tokenizer
