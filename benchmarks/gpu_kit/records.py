"""What the steps have found: one line of JSON a record, on disk as soon as it is known."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = "records.jsonl"
FINAL = frozenset({"measured", "out of memory"})
"""States of a record that a later call takes over; others are tried again."""


@dataclass(frozen=True)
class Record:
    """One finding of one step."""

    step: str
    key: str
    """Tells it from the others of its step."""
    status: str
    """`measured`, `out of memory`, `skipped` or `failed`."""
    values: Mapping[str, Any]

    @property
    def is_final(self) -> bool:
        return self.status in FINAL

    def line(self) -> str:
        """As it stands in the file."""
        return json.dumps({"step": self.step, "key": self.key, "status": self.status, **self.values})

    @staticmethod
    def parse(line: str) -> "Record":
        values = json.loads(line)
        return Record(values.pop("step"), values.pop("key"), values.pop("status"), values)


def append(file: Path, records: Iterable[Record]) -> None:
    """Write records so that not even an outage of the machine loses one."""
    with file.open("a", encoding="utf-8") as stream:
        stream.writelines(f"{record.line()}\n" for record in records)
        stream.flush()
        os.fsync(stream.fileno())


def read_records(file: Path) -> list[Record]:
    """All records; a last line that was cut by an outage is left out."""
    if not file.exists():
        return []
    lines = file.read_text("utf-8").split("\n")
    return [Record.parse(line) for line in lines[:-1]]


def latest(records: Iterable[Record]) -> dict[tuple[str, str], Record]:
    """The last record of each key; a final one is not replaced by one that is not."""
    found: dict[tuple[str, str], Record] = {}
    for record in records:
        known = found.get((record.step, record.key))
        if known is None or record.is_final or not known.is_final:
            found[record.step, record.key] = record
    return found
