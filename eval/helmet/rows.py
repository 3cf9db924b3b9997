"""Reads HELMET's files, row by row: some have gigabytes, so that no more than a row is in memory."""

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Any

from app.config import HelmetConfig
from app.faults import UserError, one_line

FIELD = "evaluate.helmet.path"
GIVE = "give the folder `data` that HELMET's scripts/download_data.sh unpacks"


class Rows:
    """The rows of a JSONL file.

    Args:
        file: The file. All that reads it raises a `UserError` if it can't be read.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def check(self) -> None:
        """Refuse a file that is not there, without reading it.

        Raises:
            UserError: Names it.
        """
        if not self._file.is_file():
            raise self._unread(FileNotFoundError("there is no such file"))

    def __len__(self) -> int:
        """Number of rows."""
        return len(self._starts)

    def line(self, number: int) -> bytes:
        """A row as it stands in the file."""
        try:
            with self._file.open("rb") as file:
                file.seek(self._starts[number])
                return file.readline()
        except OSError as error:
            raise self._unread(error) from error

    def row(self, number: int) -> dict[str, Any]:
        """A row.

        Raises:
            UserError: It is no JSON object.
        """
        where = f"{FIELD}: row {number + 1} of {self._file.name}"
        try:
            row = json.loads(self.line(number))
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise UserError(f"{where}: is not JSON ({one_line(error)}); {GIVE}") from error
        if not isinstance(row, dict):
            raise UserError(f"{where}: is not an object; {GIVE}")
        return row

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the whole file, for small ones."""
        try:
            return hashlib.sha256(self._file.read_bytes()).hexdigest()[:16]
        except OSError as error:
            raise self._unread(error) from error

    @cached_property
    def _starts(self) -> list[int]:
        """Where each row begins."""
        starts, place = [], 0
        try:
            with self._file.open("rb") as file:
                for line in file:
                    if line.strip():
                        starts.append(place)
                    place += len(line)
        except OSError as error:
            raise self._unread(error) from error
        if not starts:
            raise UserError(f"{FIELD}: {str(self._file)!r} holds no row; {GIVE}")
        return starts

    def _unread(self, error: OSError) -> UserError:
        return UserError(
            f"{FIELD}: {str(self._file)!r} can't be read ({one_line(error)}); {GIVE}, or name the tasks and lengths "
            f"that you have in evaluate.helmet"
        )


def data_file(settings: HelmetConfig, name: str) -> Path:
    """A file of HELMET's data.

    Raises:
        UserError: No folder is named.
    """
    if settings.path is None:
        raise UserError(f"{FIELD}: is missing; {GIVE}")
    return Path(settings.path).expanduser() / name


def field_of(row: dict[str, Any], *names: str) -> Any:
    """The first field that a row has of some names.

    Raises:
        UserError: It has none of them.
    """
    for name in names:
        if row.get(name) is not None:
            return row[name]
    raise UserError(f"{FIELD}: a row has no {' or '.join(names)}; {GIVE}")
