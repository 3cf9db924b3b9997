"""Files of a training source → chats and texts, streamed: only a few rows of a large file are in memory."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from app.corpus.reader import RowGroups
from app.corpus.sources import SourceFile
from app.corpus.streams import RawFile, read_blocks, split_lines
from app.corpus.units import WorkUnit
from app.schema import Message, Reject

READ_STEP = "read"
ROW_COLUMNS = ("messages", "text")
"""Fields or columns that a row is taken from, the first that it has."""
MAX_ROW_BYTES = 32_000_000
"""A larger row is rejected; eight million tokens of English are less."""
_ID_COLUMN, _KIND_COLUMN = "example_id", "kind"
_BATCH_ROWS = 16
"""Few, as a row may have megabytes."""
_UNREADABLE = (OSError, pa.ArrowInvalid)
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A chat or a plain text."""

    example_id: str
    """The row's own id if it has one, else `file:line`."""
    messages: list[Message] | None
    text: str
    """Empty where there are messages."""


def read_rows(part: WorkUnit, kind: str | None = None) -> Iterator[SourceRow | Reject]:
    """Rows of some files in their order, and a reject for each that is malformed.

    Reasons: `bad JSON`, `not UTF-8`, `empty`, `wrong type`, `too large`; `unreadable` once for the rest of a file
    that is truncated or corrupt.

    Args:
        part: What to read.
        kind: Only rows of this kind; they come from a dataset of Longstrap's.

    Raises:
        app.corpus.streams.StorageError: the storage failed.
    """
    for file in part.files:
        if file.format == "parquet":
            yield from _read_parquet(file, part.row_groups, kind)
        elif file.format == "jsonl":
            yield from _read_jsonl(file)
        else:
            yield from _read_text(file)


def _read_parquet(
    file: SourceFile, row_groups: RowGroups | None, kind: str | None
) -> Iterator[SourceRow | Reject]:
    line = row_groups.first_row if row_groups else 0
    with RawFile(file) as raw:
        try:
            parquet = pq.ParquetFile(pa.PythonFile(raw, mode="r"))
            wanted = [*ROW_COLUMNS, _ID_COLUMN, *([_KIND_COLUMN] if kind else [])]
            columns = [name for name in wanted if name in parquet.schema_arrow.names]
            start, stop = (row_groups.start, row_groups.stop) if row_groups else (0, parquet.num_row_groups)
            for batch in parquet.iter_batches(_BATCH_ROWS, row_groups=range(start, stop), columns=columns):
                for index in range(batch.num_rows):
                    line += 1
                    if kind is None or batch[_KIND_COLUMN][index].as_py() == kind:
                        yield _take_row(file, line, batch.slice(index, 1))
        except _UNREADABLE as error:
            yield _reject(file, line + 1, "unreadable", str(error))


def _take_row(file: SourceFile, line: int, batch: pa.RecordBatch) -> SourceRow | Reject:
    try:
        return _make_row(file, line, batch.to_pylist()[0])
    except UnicodeDecodeError as error:
        return _reject(file, line, "not UTF-8", str(error))


def _read_jsonl(file: SourceFile) -> Iterator[SourceRow | Reject]:
    # JSON may write each byte of a text as a six-byte escape; beside it there are other fields.
    max_line_bytes = 6 * MAX_ROW_BYTES + 1_000_000
    line = 0
    try:
        for line, content in enumerate(split_lines(read_blocks(file), max_line_bytes), start=1):
            if content is None:
                yield _reject(file, line, "too large", f"a line of more than {max_line_bytes} bytes")
            else:
                yield _parse_line(file, line, content.removeprefix(_BOM) if line == 1 else content)
    except _UNREADABLE as error:
        yield _reject(file, line + 1, "unreadable", str(error))


def _parse_line(file: SourceFile, line: int, content: bytes) -> SourceRow | Reject:
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
    return _make_row(file, line, row)


def _read_text(file: SourceFile) -> Iterator[SourceRow | Reject]:
    parts: list[bytes] = []
    num_bytes = 0
    try:
        for block in read_blocks(file):
            parts.append(block)
            num_bytes += len(block)
            if num_bytes > MAX_ROW_BYTES:
                yield _reject(file, 1, "too large", f"more than {MAX_ROW_BYTES} bytes")
                return
        text = b"".join(parts).removeprefix(_BOM).decode()
    except _UNREADABLE as error:
        yield _reject(file, 1, "unreadable", str(error))
    except UnicodeDecodeError as error:
        yield _reject(file, 1, "not UTF-8", str(error))
    else:
        yield _make_row(file, 1, {"text": text})


def _make_row(file: SourceFile, line: int, row: Mapping[str, Any]) -> SourceRow | Reject:
    example_id = row.get(_ID_COLUMN)
    if not isinstance(example_id, str) or not example_id:
        example_id = f"{file.name}:{line}"
    field = next((name for name in ROW_COLUMNS if row.get(name) is not None), None)
    if field is None:
        there = ", ".join(str(name) for name in sorted(row)[:10])
        return _reject(file, line, "wrong type", f"no {' and no '.join(ROW_COLUMNS)}; there are: {there}")
    fault = _fault_of_messages(row[field]) if field == "messages" else _fault_of_text(row[field], field)
    if fault is not None:
        return _reject(file, line, *fault)
    if field == "text":
        return SourceRow(example_id, None, row[field])
    messages = [Message(role=message["role"], content=message["content"]) for message in row[field]]
    return SourceRow(example_id, messages, "")


def _fault_of_messages(messages: object) -> tuple[str, str] | None:
    """Why this is not a valid chat: reason and detail; None if it is one."""
    if not isinstance(messages, list):
        return "wrong type", f"messages is a {type(messages).__name__}, not a list"
    if not messages:
        return "empty", "no message"
    for number, message in enumerate(messages, start=1):
        if not isinstance(message, dict):
            return "wrong type", f"message {number} is a {type(message).__name__}, not an object"
        for name in ("role", "content"):
            if not isinstance(message.get(name), str):
                return "wrong type", f"message {number} has no {name} that is a string"
    contents = [text for message in messages for text in (message["role"], message["content"])]
    return _fault_of_text("".join(contents), "messages")


def _fault_of_text(text: object, field: str) -> tuple[str, str] | None:
    if not isinstance(text, str):
        return "wrong type", f"{field} is a {type(text).__name__}, not a string"
    if not text.strip():
        return "empty", f"{field} is blank"
    try:
        num_bytes = len(text.encode())
    except UnicodeEncodeError as error:
        return "not UTF-8", str(error)
    return (
        None if num_bytes <= MAX_ROW_BYTES else ("too large", f"{num_bytes} bytes, at most {MAX_ROW_BYTES}")
    )


def _reject(file: SourceFile, line: int, reason: str, detail: str = "") -> Reject:
    shown = detail.encode("utf-8", "replace").decode()[:500]
    return Reject(row_id=f"{file.name}:{line}", step=READ_STEP, reason=reason, detail=shown)
