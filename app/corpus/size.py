"""Number of tokens in a corpus before it is built: counted if it is small, otherwise estimated from a sample."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.corpus.reader import read_file
from app.corpus.sources import SourceFile, compression_of
from app.faults import UserError
from app.schema import Document, Reject
from app.tokens import Tokenizer

SAMPLE_BYTES = 1_000_000
EXPANSION = 6
"""Bytes of text that a byte of a compressed file or of Parquet may hold; web text reaches 4 to 5."""
MAX_BYTES_PER_TOKEN = 16
"""More text than this makes for one token of hardly any tokenizer."""
MARGIN = 1.25
"""An estimate may be this much too low."""


@dataclass(frozen=True)
class CorpusSize:
    """Tokens of all documents together, before repeats are removed."""

    num_tokens: int
    """Counted up to the limit of each document, where one is given and the corpus is small enough to be counted."""
    is_exact: bool

    def surely_below(self, num_tokens: int) -> bool:
        """Whether there are certainly fewer tokens than that."""
        return num_tokens > self.num_tokens * (1.0 if self.is_exact else MARGIN)


def holds_at_least(files: Sequence[SourceFile], num_tokens: int) -> bool:
    """Whether the files are large enough for that many tokens with any tokenizer. No file is opened."""
    return sum(file.num_bytes for file in files) >= num_tokens * MAX_BYTES_PER_TOKEN


def measure_corpus(
    files: Sequence[SourceFile],
    tokenizer: Tokenizer,
    max_document_bytes: int,
    document_tokens: int | None = None,
) -> CorpusSize:
    """Count the tokens of the first megabyte of text, and go by the files' sizes when there is more.

    Args:
        files: Of the corpus.
        tokenizer: Counts.
        max_document_bytes: Longer documents are left out.
        document_tokens: Most tokens that a document counts for, in a corpus that is counted to its end.

    Raises:
        UserError: No document can be read, or a file lacks the columns that the settings name.
    """
    num_bytes = num_tokens = num_limited = 0
    first_reject: Reject | None = None
    for file in files:
        for row in read_file(file, max_document_bytes):
            if isinstance(row, Reject):
                first_reject = first_reject or row
                continue
            num_bytes += len(row.text.encode("utf-8", "surrogatepass"))
            counted = _count(tokenizer, row)
            num_tokens += counted
            num_limited += min(counted, document_tokens or counted)
            if num_bytes >= SAMPLE_BYTES:
                most = sum(item.num_bytes * _expansion(item) for item in files)
                return CorpusSize(max(num_tokens, round(most * num_tokens / num_bytes)), is_exact=False)
    if not num_tokens:
        reason = f"; {first_reject.row_id} is: {first_reject.reason}" if first_reject else ""
        raise UserError(
            f"corpus.sources: {files[0].root!r} holds no document that can be read{reason}; "
            f"give other files, or name their fields in corpus.sources.0.fields"
        )
    return CorpusSize(num_limited, is_exact=True)


def _count(tokenizer: Tokenizer, document: Document) -> int:
    # Any tokenizer takes this much text at once; a longer document is measured by its start.
    head = document.text[:SAMPLE_BYTES]
    return round(tokenizer.count(head) * len(document.text) / len(head))


def _expansion(file: SourceFile) -> int:
    name = file.open_filesystem()[1]
    return EXPANSION if file.format == "parquet" or compression_of(name) else 1
