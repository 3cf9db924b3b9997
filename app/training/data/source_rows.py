"""Files of a training source → chats and texts, streamed: only a few rows of a large file are in memory."""

from collections.abc import Iterator
from dataclasses import dataclass

from app.corpus import rows
from app.corpus.sources import SourceFile
from app.corpus.units import WorkUnit
from app.schema import Message, Reject

ROW_COLUMNS = ("messages", "text")
"""Fields or columns that a row is taken from, the first that it has."""
MAX_ROW_BYTES = 32_000_000
"""A larger row is rejected; eight million tokens of English are less."""
_ID_COLUMN, _KIND_COLUMN = "example_id", "kind"
_BATCH_ROWS = 16
"""Few, as a row may have megabytes."""


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

    Args:
        part: What to read.
        kind: Only rows of this kind; they come from a dataset of Longstrap's.

    Raises:
        app.corpus.streams.StorageError: the storage failed.
    """
    for file in part.files:
        for row in rows.read_rows(file, row_columns(), MAX_ROW_BYTES, part.row_groups):
            if isinstance(row, Reject):
                yield row
            elif kind is None or row.values.get(_KIND_COLUMN) == kind:
                yield _make_row(file, row)


def row_columns(section: str = "train.sources") -> rows.Columns:
    """What a row of training is made of.

    Args:
        section: The source's place in the settings.
    """
    return rows.Columns(ROW_COLUMNS, (_ID_COLUMN, _KIND_COLUMN), f"{section}.path", _BATCH_ROWS)


def _make_row(file: SourceFile, row: rows.Row) -> SourceRow | Reject:
    values = row.values
    example_id = values.get(_ID_COLUMN)
    if not isinstance(example_id, str) or not example_id:
        example_id = f"{file.name}:{row.line}"
    field = next((name for name in ROW_COLUMNS if values.get(name) is not None), None)
    if field is None:
        there = ", ".join(str(name) for name in sorted(values)[:10])
        return rows.reject_row(
            file, row.line, "wrong type", f"no {' and no '.join(ROW_COLUMNS)}; there are: {there}"
        )
    value = values[field]
    is_chat = field == "messages"
    fault = _fault_of_messages(value) if is_chat else rows.fault_of_text(value, field, MAX_ROW_BYTES)
    if fault is not None:
        return rows.reject_row(file, row.line, *fault)
    if not is_chat:
        return SourceRow(example_id, None, value)
    messages = [Message(role=message["role"], content=message["content"]) for message in value]
    return SourceRow(example_id, messages, "")


def _fault_of_messages(messages: object) -> tuple[str, str] | None:
    """Reason and detail of what makes it no chat."""
    if isinstance(messages, bytes):
        return rows.fault_of_text(messages, "messages", MAX_ROW_BYTES)
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
    return rows.fault_of_text("".join(contents), "messages", MAX_ROW_BYTES)
