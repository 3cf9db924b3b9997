"""Input files → documents and rejects, streamed."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from app.corpus.rows import Columns, Row, RowGroups, fault_of_text, read_rows, reject_row
from app.corpus.sources import SourceFile
from app.schema import Document, Reject, hash_text

_BATCH_ROWS = 128


def document_columns(file: SourceFile) -> Columns:
    """What a document is made of, by the field mapping of the file's source."""
    title = () if file.fields.title is None else (file.fields.title,)
    return Columns((file.fields.text,), title, f"corpus.sources.{file.source_index}.fields.text", _BATCH_ROWS)


def read_file(
    file: SourceFile, max_document_bytes: int, row_groups: RowGroups | None = None
) -> Iterator[Document | Reject]:
    """Documents of one file in order, and a reject for each row that is not a document.

    Args:
        file: What to read.
        max_document_bytes: Largest text in UTF-8; a larger one is rejected.
        row_groups: Part of a Parquet file to read. If omitted, all of it.

    Raises:
        UserError: A Parquet file has no such column as the source's field mapping says.
        StorageError: The storage failed.
    """
    for row in read_rows(file, document_columns(file), max_document_bytes, row_groups):
        yield row if isinstance(row, Reject) else _make_document(file, row, max_document_bytes)


def _make_document(file: SourceFile, row: Row, max_bytes: int) -> Document | Reject:
    name, title_name = file.fields.text, file.fields.title
    if name not in row.values:
        there = ", ".join(sorted(row.values)[:10])
        return reject_row(file, row.line, "wrong type", f"no field {name!r}; there are: {there}")
    text = row.values[name]
    if fault := fault_of_text(text, "the text", max_bytes):
        return reject_row(file, row.line, *fault)
    title = row.values.get(title_name) if title_name is not None else None
    if file.format == "text":
        title = PurePosixPath(file.path).name.partition(".")[0]
    return Document(
        document_id=hash_text(text), text=text, title=_shown(title), source=file.name, line=row.line
    )


def _shown(title: object) -> str:
    """A title as text: numbers too, such as years; nothing for other values, and for a missing number, which is NaN."""
    is_number = isinstance(title, int | float) and not isinstance(title, bool) and title == title
    return (
        str(title).encode("utf-8", "replace").decode().strip() if isinstance(title, str) or is_number else ""
    )
