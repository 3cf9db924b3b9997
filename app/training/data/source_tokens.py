"""Processes one part of a source: reads its rows, tokenizes and writes them, or rejects them with a reason.
Repeatable.
"""

from collections import Counter
from dataclasses import asdict, dataclass, field
from functools import lru_cache

from app.corpus.rows import Lost
from app.corpus.shards import ShardWriter, open_shard
from app.corpus.units import WorkUnit
from app.schema import REJECT_SCHEMA, Reject
from app.storage import Folder
from app.tokens import Tokenizer
from app.training.data.source_rows import SourceRow, read_rows
from app.training.data.token_shards import INDEX, write_part
from app.training.data.tokenization import TokenRow, UntrainableRowError, tokenize_chat, tokenize_text

TOKENS_STEP, RESPONSE_STEP = "tokens", "response"
REJECTS_DIR = "rejects"
_REJECT_GROUP_ROWS = 16_384


@dataclass
class PartRecord:
    """Result of processing a part's rows."""

    num_examples: int = 0
    num_tokens: int = 0
    num_rejects: dict[str, int] = field(default_factory=dict)
    """Rows that nothing can be learned from, by reason."""
    num_without_response: dict[str, int] = field(default_factory=dict)
    """Examples of which the loss on responses learns nothing, by reason."""
    broken_files: list[str] = field(default_factory=list)
    """Names of the files that could not be read to their end."""
    lost_bytes: int = 0
    """Of these, as they are stored."""
    first_reject: str = ""
    """One of the rejects, to show."""
    digest: str = ""
    """Hash of the ids and tokens."""


def part_name(index: int) -> str:
    """Name of a part, without what its files append."""
    return f"part-{index:05d}"


def tokenize_part(part: WorkUnit, folder: Folder, tokenizer: Tokenizer, kind: str | None) -> PartRecord:
    """Write a part's tokens, its rejects and its record, and last of all its index; at once if that is done.

    Raises:
        app.corpus.streams.StorageError: the storage failed.
    """
    name = part_name(part.index)
    if folder.exists(name + INDEX):
        return PartRecord(**folder.read_json(f"{name}.json"))
    tokenizer = _loaded(tokenizer)
    record = PartRecord()
    num_rejects: Counter[str] = Counter()
    num_without_response: Counter[str] = Counter()
    with (
        open_shard(folder / REJECTS_DIR, f"{name}.parquet", REJECT_SCHEMA, _REJECT_GROUP_ROWS) as rejects,
        write_part(folder, name) as writer,
    ):
        for source_row in read_rows(part, kind):
            row = source_row if isinstance(source_row, Reject) else _tokenize(tokenizer, source_row)
            if isinstance(row, Reject):
                num_rejects[row.reason] += 1
                if isinstance(row, Lost):
                    record.broken_files.append(row.file)
                    record.lost_bytes += row.lost_bytes
                record.first_reject = record.first_reject or f"{row.row_id}: {row.reason} ({row.detail})"
                _add_reject(rejects, row)
                continue
            assert isinstance(source_row, SourceRow)
            is_text = source_row.messages is None
            writer.add(source_row.example_id, row, is_text)
            if row.no_response:
                num_without_response[row.no_response] += 1
                # Of a file of texts, they would be as many as the texts.
                if not is_text:
                    reject = Reject(source_row.example_id, RESPONSE_STEP, row.no_response, row.detail)
                    _add_reject(rejects, reject)
    record.num_examples, record.num_tokens = writer.num_examples, writer.num_tokens
    record.num_rejects = dict(sorted(num_rejects.items()))
    record.num_without_response = dict(sorted(num_without_response.items()))
    record.digest = writer.digest
    folder.write_json(f"{name}.json", asdict(record))
    folder.write_table(name + INDEX, writer.index())
    return record


def _tokenize(tokenizer: Tokenizer, row: SourceRow) -> TokenRow | Reject:
    try:
        if row.messages is None:
            return tokenize_text(tokenizer, row.text)
        return tokenize_chat(tokenizer, row.messages)
    except UntrainableRowError as error:
        return Reject(row.example_id, TOKENS_STEP, str(error), error.detail)


def _add_reject(rejects: ShardWriter, reject: Reject) -> None:
    rejects.add(reject.row_id, reject.step, reject.reason, reject.detail)


@lru_cache(maxsize=2)
def _loaded(tokenizer: Tokenizer) -> Tokenizer:
    """Load the tokenizer once per process, for all its parts."""
    return tokenizer
