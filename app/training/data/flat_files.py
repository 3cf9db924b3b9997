"""Flat arrays on shared storage: written as they come, read by the slice."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow.fs as pafs

from app.storage import Folder


class FlatFile:
    """A file of numbers of one type. On a local disk it is mapped, elsewhere a slice is one ranged read.

    Picklable; opened when it is first read, and then kept open.
    """

    def __init__(self, folder: Folder, name: str, dtype: str) -> None:
        self._folder = folder
        self._name = name
        self._dtype = np.dtype(dtype)
        self._opened: Any = None

    def __reduce__(self) -> tuple[type["FlatFile"], tuple[Folder, str, str]]:
        return FlatFile, (self._folder, self._name, self._dtype.str)

    def read(self, start: int, stop: int) -> np.ndarray:
        """A copy of the numbers `[start, stop)`."""
        if start == stop:
            return np.empty(0, self._dtype)
        is_local = isinstance(self._folder.filesystem, pafs.LocalFileSystem)
        path = self._folder.file(self._name)
        if self._opened is None:
            self._opened = (
                np.memmap(path, self._dtype, mode="r")
                if is_local
                else self._folder.filesystem.open_input_file(path)
            )
        if is_local:
            numbers = np.array(self._opened[start:stop])
        else:
            size = self._dtype.itemsize
            payload = self._opened.read_at((stop - start) * size, start * size)
            numbers = np.frombuffer(payload, self._dtype).copy()
        assert len(numbers) == stop - start, f"{path} ends before number {stop}"
        return numbers


@contextmanager
def write_flat(folder: Folder, name: str) -> Iterator[Any]:
    """Stream to write bytes to; the file appears when the block ends, and not at all if the block raises."""
    with folder.replace(name) as aside, folder.filesystem.open_output_stream(aside) as stream:
        yield stream
