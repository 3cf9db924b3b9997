"""Input files → units of work. A unit is what one task reads; it does not depend on the number of tasks."""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from app.corpus.reader import document_columns
from app.corpus.rows import Columns, RowGroups, measure_groups
from app.corpus.sources import SourceFile

UNIT_BYTES = 64_000_000
UNIT_FILES = 1_000
_NUM_FOOTERS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class WorkUnit:
    """What one task reads: small files together, one large file, or a stretch of a Parquet file."""

    index: int
    """Position of the unit in the corpus."""
    files: tuple[SourceFile, ...]
    row_groups: RowGroups | None = None


def plan_units(
    files: Sequence[SourceFile],
    max_rows: float = math.inf,
    unit_bytes: int = UNIT_BYTES,
    max_parquet_bytes: float = math.inf,
    columns_of: Callable[[SourceFile], Columns] = document_columns,
) -> list[WorkUnit]:
    """Units of the input files, in the files' order.

    A Parquet file is cut between row groups into stretches of at most `max_rows` rows and `max_parquet_bytes`
    uncompressed bytes, where its row groups are no larger; its footer is read here. Other files can't be cut; small
    ones go together until they make up `unit_bytes`.

    Raises:
        UserError: a Parquet file has none of the columns that are read.
    """
    parquet_files = [file for file in files if file.format == "parquet"]
    with ThreadPoolExecutor(_NUM_FOOTERS_AT_ONCE) as pool:
        measured = pool.map(lambda file: measure_groups(file, columns_of(file)), parquet_files)
        groups = dict(zip(parquet_files, measured, strict=True))
    units: list[WorkUnit] = []
    waiting: list[SourceFile] = []
    waiting_bytes = 0
    for file in files:
        is_full = waiting_bytes + file.num_bytes > unit_bytes or len(waiting) >= UNIT_FILES
        if waiting and (is_full or file.format == "parquet"):
            units.append(WorkUnit(len(units), tuple(waiting)))
            waiting, waiting_bytes = [], 0
        if file.format == "parquet":
            for row_groups in _stretches(groups[file], max_rows, max_parquet_bytes):
                units.append(WorkUnit(len(units), (file,), row_groups))
        else:
            waiting.append(file)
            waiting_bytes += file.num_bytes
    if waiting:
        units.append(WorkUnit(len(units), tuple(waiting)))
    return units


def _stretches(
    groups: Sequence[tuple[int, int]], max_rows: float, max_bytes: float
) -> Iterator[RowGroups | None]:
    if not groups:
        # Corrupt: reading says so in a reject. Or empty.
        yield None
        return
    start = first_row = num_rows = num_bytes = 0
    for index, (rows, size) in enumerate(groups):
        if num_rows and (num_rows + rows > max_rows or num_bytes + size > max_bytes):
            yield RowGroups(start, index, first_row)
            start, first_row, num_rows, num_bytes = index, first_row + num_rows, 0, 0
        num_rows += rows
        num_bytes += size
    yield RowGroups(start, len(groups), first_row)


def fingerprint_of_plan(units: Sequence[WorkUnit], more: object) -> str:
    """Hash that changes if a unit, or anything else that decides the corpus, has changed since a job was
    interrupted; also where a file has another content of the same size, by its date.
    """
    files = [[(file.name, file.num_bytes, file.mtime_ns) for file in unit.files] for unit in units]
    groups = [(unit.row_groups.start, unit.row_groups.stop) if unit.row_groups else None for unit in units]
    return hashlib.sha256(json.dumps([files, groups, more]).encode()).hexdigest()
