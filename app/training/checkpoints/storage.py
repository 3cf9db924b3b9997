"""Storage of torch's distributed checkpoints: local disks, s3:// and gs://."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow.fs as pafs
from torch.distributed.checkpoint import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.filesystem import FileSystemBase

from app.storage import Folder

READ_BUFFER_BYTES = 4 * 2**20
"""torch reads a tensor in many small pieces; object storage is asked for this much at once."""


def open_writer(folder: Folder) -> FileSystemWriter:
    """A writer for one checkpoint; its staging copies tensors, so that they may change once it is done."""
    if isinstance(folder.filesystem, pafs.LocalFileSystem):
        return FileSystemWriter(folder.path)
    writer = FileSystemWriter(folder.path, sync_files=False)
    writer.fs, writer.path = ArrowFileSystem(folder.filesystem), folder.path
    return writer


def open_reader(folder: Folder) -> FileSystemReader:
    """A reader of one checkpoint."""
    if isinstance(folder.filesystem, pafs.LocalFileSystem):
        return FileSystemReader(folder.path)
    reader = FileSystemReader(folder.path)
    reader.fs, reader.path = ArrowFileSystem(folder.filesystem), folder.path
    return reader


class ArrowFileSystem(FileSystemBase):
    """A filesystem of pyarrow as torch wants it. All paths are the filesystem's own."""

    def __init__(self, filesystem: pafs.FileSystem) -> None:
        self._filesystem = filesystem

    @contextmanager
    def create_stream(self, path: str | os.PathLike[str], mode: str) -> Iterator[Any]:
        if mode == "wb":
            with self._filesystem.open_output_stream(os.fspath(path)) as stream:
                yield stream
            return
        assert mode == "rb"
        with self._filesystem.open_input_file(os.fspath(path)) as stream:
            yield io.BufferedReader(stream, READ_BUFFER_BYTES)

    def concat_path(self, path: str | os.PathLike[str], suffix: str) -> str:
        return f"{os.fspath(path)}/{suffix}"

    def init_path(self, path: str | os.PathLike[str]) -> str:
        return os.fspath(path)

    def rename(self, path: str | os.PathLike[str], new_path: str | os.PathLike[str]) -> None:
        self._filesystem.move(os.fspath(path), os.fspath(new_path))

    def mkdir(self, path: str | os.PathLike[str]) -> None:
        self._filesystem.create_dir(os.fspath(path), recursive=True)

    def exists(self, path: str | os.PathLike[str]) -> bool:
        return bool(self._filesystem.get_file_info(os.fspath(path)).type != pafs.FileType.NotFound)

    def rm_file(self, path: str | os.PathLike[str]) -> None:
        self._filesystem.delete_file(os.fspath(path))

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike[str]) -> bool:
        return True
