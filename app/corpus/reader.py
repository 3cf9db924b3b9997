"""Input files → documents and rejects, streamed: neither a whole file nor an endless line is ever held in memory."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from app.corpus.sources import SourceFile
from app.corpus.streams import RawFile, read_blocks, split_lines
from app.faults import UserError
from app.schema import Document, Reject, hash_text

READ_STEP = "read"
_BATCH_ROWS = 128
_BOM = b"\xef\xbb\xbf"
_UNREADABLE = (OSError, pa.ArrowInvalid)
"""What pyarrow raises for broken gzip, zstd and Parquet; a failing storage raises `StorageError`."""


@dataclass(frozen=True, slots=True)
class RowGroups:
    """A stretch of a Parquet file."""

    start: int
    stop: int
    first_row: int
    """Rows of the file before this stretch."""


def read_file(
    file: SourceFile, max_document_bytes: int, row_groups: RowGroups | None = None
) -> Iterator[Document | Reject]:
    """Documents of one file in order, and a reject for each row that is not a document.

    Reasons: `bad JSON`, `not UTF-8`, `empty`, `wrong type`, `too large`; `unreadable` once for the rest of a
    file that is truncated or corrupt.

    Args:
        file: What to read.
        max_document_bytes: Largest text in UTF-8; a larger one is rejected.
        row_groups: Part of a Parquet file to read. If omitted, all of it.

    Raises:
        UserError: A Parquet file has no such column as the source's field mapping says.
        StorageError: The storage failed.
    """
    if file.format == "parquet":
        return _read_parquet(file, max_document_bytes, row_groups)
    if file.format == "jsonl":
        return _read_jsonl(file, max_document_bytes)
    return _read_text(file, max_document_bytes)


def parquet_group_rows(file: SourceFile) -> list[int] | None:
    """Rows of each row group of a Parquet file; None when the file is corrupt.

    Raises:
        UserError: It has no such column as the source's field mapping says.
    """
    with RawFile(file) as raw:
        try:
            parquet = pq.ParquetFile(pa.PythonFile(raw, mode="r"))
        except _UNREADABLE:
            return None
        _check_columns(file, parquet)
        return [parquet.metadata.row_group(index).num_rows for index in range(parquet.num_row_groups)]


def _read_jsonl(file: SourceFile, max_document_bytes: int) -> Iterator[Document | Reject]:
    # JSON may write each byte of the text as a six-byte escape; beside the text there are other fields.
    max_line_bytes = 6 * max_document_bytes + 1_000_000
    line = 0
    try:
        for line, content in enumerate(split_lines(read_blocks(file), max_line_bytes), start=1):
            if content is None:
                yield _reject(file, line, "too large", f"a line of more than {max_line_bytes} bytes")
            else:
                yield _parse_line(file, line, content, max_document_bytes)
    except _UNREADABLE as error:
        yield _reject(file, line + 1, "unreadable", str(error))


def _parse_line(file: SourceFile, line: int, content: bytes, max_document_bytes: int) -> Document | Reject:
    if line == 1:
        content = content.removeprefix(_BOM)
    if not content.strip():
        return _reject(file, line, "empty", "a blank line")
    try:
        row = json.loads(content.decode())
    except UnicodeDecodeError as error:
        return _reject(file, line, "not UTF-8", str(error))
    except (ValueError, RecursionError) as error:
        return _reject(file, line, "bad JSON", str(error))
    if not isinstance(row, dict):
        return _reject(file, line, "wrong type", f"the row is a {type(row).__name__}, not an object")
    fields = file.fields
    if fields.text not in row:
        there = ", ".join(sorted(row)[:10])
        return _reject(file, line, "wrong type", f"no field {fields.text!r}; there are: {there}")
    title = row.get(fields.title) if fields.title is not None else None
    return _make_document(file, line, row[fields.text], title, max_document_bytes)


def _read_text(file: SourceFile, max_document_bytes: int) -> Iterator[Document | Reject]:
    parts: list[bytes] = []
    num_bytes = 0
    try:
        for block in read_blocks(file):
            parts.append(block)
            num_bytes += len(block)
            if num_bytes > max_document_bytes + len(_BOM):
                yield _reject(file, 1, "too large", f"more than {max_document_bytes} bytes")
                return
    except _UNREADABLE as error:
        yield _reject(file, 1, "unreadable", str(error))
        return
    title = PurePosixPath(file.path).name.partition(".")[0]
    yield _make_document(file, 1, b"".join(parts).removeprefix(_BOM), title, max_document_bytes)


def _check_columns(file: SourceFile, parquet: pq.ParquetFile) -> list[str]:
    there = parquet.schema_arrow.names
    if file.fields.text not in there:
        raise UserError(
            f"corpus.sources.{file.source_index}.fields.text: {file.name} has no column "
            f"{file.fields.text!r}; it has {', '.join(there)}"
        )
    wanted = dict.fromkeys([file.fields.text, file.fields.title])
    return [name for name in wanted if name is not None and name in there]


def _read_parquet(
    file: SourceFile, max_document_bytes: int, row_groups: RowGroups | None
) -> Iterator[Document | Reject]:
    line = row_groups.first_row if row_groups else 0
    with RawFile(file) as raw:
        try:
            parquet = pq.ParquetFile(pa.PythonFile(raw, mode="r"))
            columns = _check_columns(file, parquet)
            start, stop = (row_groups.start, row_groups.stop) if row_groups else (0, parquet.num_row_groups)
            for group in range(start, stop):
                for batch in parquet.iter_batches(_BATCH_ROWS, row_groups=[group], columns=columns):
                    texts = _values(batch.column(0))
                    titles = _values(batch.column(1)) if len(columns) > 1 else [None] * len(texts)
                    for text, title in zip(texts, titles, strict=True):
                        line += 1
                        yield _make_document(file, line, text, title, max_document_bytes)
        except _UNREADABLE as error:
            yield _reject(file, line + 1, "unreadable", str(error))


def _values(column: pa.Array) -> list[Any]:
    """Python values; a string that is not UTF-8, which Parquet does not forbid, stays bytes."""
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        binary = pa.large_binary() if pa.types.is_large_string(column.type) else pa.binary()
        return list(column.view(binary).to_pylist())


def _make_document(
    file: SourceFile, line: int, text: object, title: object, max_document_bytes: int
) -> Document | Reject:
    try:
        if isinstance(text, bytes):
            text = text.decode()
        num_bytes = len(text.encode()) if isinstance(text, str) else 0
    except UnicodeError as error:
        return _reject(file, line, "not UTF-8", str(error))
    if text is None:
        return _reject(file, line, "empty", "null")
    if not isinstance(text, str):
        return _reject(file, line, "wrong type", f"the text is a {type(text).__name__}, not a string")
    if not text.strip():
        return _reject(file, line, "empty")
    if num_bytes > max_document_bytes:
        return _reject(file, line, "too large", f"{num_bytes} bytes, at most {max_document_bytes}")
    shown_title = title.encode("utf-8", "replace").decode().strip() if isinstance(title, str) else ""
    return Document(document_id=hash_text(text), text=text, title=shown_title, source=file.name, line=line)


def _reject(file: SourceFile, line: int, reason: str, detail: str = "") -> Reject:
    shown = detail.encode("utf-8", "replace").decode()[:500]
    return Reject(row_id=f"{file.name}:{line}", step=READ_STEP, reason=reason, detail=shown)
