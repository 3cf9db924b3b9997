"""JSONL, Parquet and plain text → rows and rejects, streamed: neither a file nor an endless line is held whole."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from app.corpus.sources import SourceFile
from app.corpus.streams import UNREADABLE, RawFile, UnreadableError, read_blocks, split_lines
from app.faults import UserError
from app.schema import Reject

READ_STEP = "read"
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Columns:
    """What to take of a file's rows."""

    contents: tuple[str, ...]
    """A Parquet file must have one of these. The content of a text file goes by the last of them."""
    others: tuple[str, ...]
    """Taken where they are."""
    field: str
    """The setting to name where a Parquet file has none of `contents`."""
    batch_rows: int
    """Rows of a Parquet file that are in memory at once."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it stands in its file; a string that is not UTF-8, which Parquet does not forbid, stays bytes."""

    line: int
    """1-based."""
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Lost(Reject):
    """The rest of a file, or a stretch of it, that is truncated or corrupt."""

    file: str = ""
    lost_bytes: int = 0
    """Of the file as it is stored, as far as that is known."""


@dataclass(frozen=True, slots=True)
class RowGroups:
    """A stretch of a Parquet file."""

    start: int
    stop: int
    first_row: int
    """Rows of the file before this stretch."""


def read_rows(
    file: SourceFile, columns: Columns, max_bytes: int, row_groups: RowGroups | None = None
) -> Iterator[Row | Reject]:
    """Rows of one file in its order, and a reject for each that is none.

    Reasons: `bad JSON`, `not UTF-8`, `empty`, `wrong type`, `too large`; `unreadable` (a `Lost`) once for the rest of
    a file that is truncated or corrupt, or for the rest of a row group of Parquet.

    Args:
        file: What to read.
        columns: What to take of it.
        max_bytes: Of a row's contents. A line or a text file that must have more is not held.
        row_groups: The part of a Parquet file to read; left out: all of it.

    Raises:
        UserError: a Parquet file has none of the columns that hold contents.
        StorageError: the storage failed.
    """
    if file.format == "parquet":
        return _read_parquet(file, columns, row_groups)
    if file.format == "jsonl":
        return _read_jsonl(file, max_bytes)
    return _read_text(file, columns.contents[-1], max_bytes)


def measure_groups(file: SourceFile, columns: Columns) -> list[tuple[int, int]]:
    """Rows and uncompressed bytes of each row group of a Parquet file; none of a corrupt one, whose reading says so.

    Raises:
        UserError: it has none of the columns that hold contents.
    """
    with RawFile(file) as raw:
        try:
            parquet = pq.ParquetFile(pa.PythonFile(raw, mode="r"))
        except UNREADABLE:
            return []
        _choose(file, columns, parquet)
        groups = [parquet.metadata.row_group(index) for index in range(parquet.num_row_groups)]
        return [(group.num_rows, group.total_byte_size) for group in groups]


def fault_of_text(text: object, name: str, max_bytes: int) -> tuple[str, str] | None:
    """Reason and detail of what keeps a value from being a text; None for one that is.

    Args:
        text: The value.
        name: What details call it.
        max_bytes: Of a text in UTF-8.
    """
    if text is None:
        return "empty", "null"
    try:
        content = text.decode() if isinstance(text, bytes) else text
        num_bytes = len(content.encode()) if isinstance(content, str) else 0
    except UnicodeError as error:
        return "not UTF-8", str(error)
    if not isinstance(content, str):
        return "wrong type", f"{name} is a {type(text).__name__}, not a string"
    if not content.strip():
        return "empty", f"{name} is blank"
    return ("too large", f"{num_bytes} bytes, at most {max_bytes}") if num_bytes > max_bytes else None


def reject_row(file: SourceFile, line: int, reason: str, detail: str = "") -> Reject:
    """A row of a file that was left out."""
    shown = detail.encode("utf-8", "replace").decode()[:500]
    return Reject(row_id=f"{file.name}:{line}", step=READ_STEP, reason=reason, detail=shown)


def _read_jsonl(file: SourceFile, max_bytes: int) -> Iterator[Row | Reject]:
    # JSON may write each byte of a text as a six-byte escape; beside the text there are other fields.
    max_line_bytes = 6 * max_bytes + 1_000_000
    line = 0
    try:
        for line, content in enumerate(split_lines(read_blocks(file), max_line_bytes), start=1):
            if content is None:
                yield reject_row(file, line, "too large", f"a line of more than {max_line_bytes} bytes")
            else:
                yield _parse_line(file, line, content.removeprefix(_BOM) if line == 1 else content)
    except UnreadableError as error:
        yield _lost(file, line + 1, str(error), error.lost_bytes)


def _parse_line(file: SourceFile, line: int, content: bytes) -> Row | Reject:
    if not content.strip():
        return reject_row(file, line, "empty", "a blank line")
    try:
        values = json.loads(content.decode())
    except UnicodeDecodeError as error:
        return reject_row(file, line, "not UTF-8", str(error))
    except (ValueError, RecursionError) as error:
        return reject_row(file, line, "bad JSON", str(error))
    if not isinstance(values, dict):
        return reject_row(file, line, "wrong type", f"the row is a {type(values).__name__}, not an object")
    return Row(line, values)


def _read_text(file: SourceFile, name: str, max_bytes: int) -> Iterator[Row | Reject]:
    parts: list[bytes] = []
    num_bytes = 0
    try:
        for block in read_blocks(file):
            parts.append(block)
            num_bytes += len(block)
            if num_bytes > max_bytes + len(_BOM):
                yield reject_row(file, 1, "too large", f"more than {max_bytes} bytes")
                return
    except UnreadableError as error:
        yield _lost(file, 1, str(error), file.num_bytes)
        return
    yield Row(1, {name: _decoded(b"".join(parts).removeprefix(_BOM))})


def _read_parquet(file: SourceFile, columns: Columns, row_groups: RowGroups | None) -> Iterator[Row | Reject]:
    line = row_groups.first_row if row_groups else 0
    with RawFile(file) as raw:
        try:
            parquet = pq.ParquetFile(pa.PythonFile(raw, mode="r"))
        except UNREADABLE as error:
            yield _lost(file, line + 1, str(error), file.num_bytes)
            return
        names, metadata = _choose(file, columns, parquet), parquet.metadata
        start, stop = (row_groups.start, row_groups.stop) if row_groups else (0, parquet.num_row_groups)
        for group in range(start, stop):
            end = line + metadata.row_group(group).num_rows
            try:
                for batch in parquet.iter_batches(columns.batch_rows, row_groups=[group], columns=names):
                    for values in zip(*map(_values, batch.columns), strict=True):
                        line += 1
                        yield Row(line, dict(zip(batch.schema.names, values, strict=True)))
            except UNREADABLE as error:
                share = (end - line) / max(1, metadata.num_rows)
                yield _lost(file, line + 1, f"{end - line} rows: {error}", round(file.num_bytes * share))
                line = end


def _lost(file: SourceFile, line: int, detail: str, lost_bytes: int) -> Lost:
    reject = reject_row(file, line, "unreadable", detail)
    return Lost(reject.row_id, reject.step, reject.reason, reject.detail, file.name, lost_bytes)


def _choose(file: SourceFile, columns: Columns, parquet: pq.ParquetFile) -> list[str]:
    there = parquet.schema_arrow.names
    if not set(columns.contents) & set(there):
        raise UserError(
            f"{columns.field}: {file.name} has no column {' and no '.join(map(repr, columns.contents))}; "
            f"it has {', '.join(there)}"
        )
    return [name for name in dict.fromkeys(columns.contents + columns.others) if name in there]


def _values(column: pa.Array) -> list[Any]:
    try:
        return [_decoded(value) for value in column.to_pylist()]
    except UnicodeDecodeError:
        return [_value(scalar) for scalar in column]


def _value(scalar: pa.Scalar) -> Any:
    try:
        return _decoded(scalar.as_py())
    except UnicodeDecodeError as error:
        return error.object


def _decoded(value: Any) -> Any:
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return value
