"""The pipeline's results, read in the order of their seeds."""

from collections.abc import Iterator
from typing import Any

from app.storage import Folder

RESULTS_DIR = "_results"
"""Folder of the dataset: a row for each seed that is done, until the dataset is finished."""
ROWS_PER_WINDOW = 64


class ResultRows:
    """The pipeline's results in the order of their seeds, whatever order and files they were written in.

    A result that was written twice (a task that ended before its commit) is read once.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._files: dict[int, str] = {}
        for name in folder.list_names(".parquet"):
            for seed_index in folder.read_table(name, columns=["seed_index"])["seed_index"].to_pylist():
                self._files.setdefault(seed_index, name)

    def __len__(self) -> int:
        return len(self._files)

    def read(self, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
        """Rows of RESULT_SCHEMA; a few windows of rows are in memory, never all."""
        indices = sorted(self._files)
        for start in range(0, len(indices), ROWS_PER_WINDOW):
            window = indices[start : start + ROWS_PER_WINDOW]
            rows: dict[int, dict[str, Any]] = {}
            for name in sorted({self._files[index] for index in window}):
                needed = None if columns is None else ["seed_index", *columns]
                for row in self._folder.read_table(name, columns=needed).to_pylist():
                    if self._files[row["seed_index"]] == name:
                        rows[row["seed_index"]] = row
            for index in window:
                yield rows[index]
