"""Storage of torch's distributed checkpoints: local disks, s3:// and gs://."""

import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any

import pyarrow.fs as pafs
from torch.distributed.checkpoint import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.filesystem import FileSystem, FileSystemBase

from app.storage import Folder

READ_BUFFER_BYTES = 4 * 2**20
"""torch reads a tensor in many small pieces; object storage is asked for this much at once."""


class CheckpointWriter(FileSystemWriter):
    """A writer of one checkpoint; its staging copies tensors, so that they may change once it is done."""

    def __init__(self, folder: Folder) -> None:
        is_local = isinstance(folder.filesystem, pafs.LocalFileSystem)
        super().__init__(folder.path, sync_files=is_local)
        self.checksums: dict[str, int] = {}
        """CRC-32 of each file that this process has written, by its name."""
        if is_local:
            self.fs = SummingFileSystem(FileSystem(), self.checksums)
        else:
            self.fs = SummingFileSystem(ArrowFileSystem(folder.filesystem), self.checksums)
            self.path = folder.path


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


class SummingFileSystem(FileSystemBase):
    """Another filesystem of torch's, with the checksums of what is written.

    Args:
        filesystem: Writes and reads.
        checksums: Takes the sum of each file that was written, by its name.
    """

    def __init__(self, filesystem: FileSystemBase, checksums: dict[str, int]) -> None:
        self._filesystem = filesystem
        self._checksums = checksums

    @contextmanager
    def create_stream(self, path: str | os.PathLike[str], mode: str) -> Iterator[Any]:
        with self._filesystem.create_stream(path, mode) as stream:
            if mode != "wb":
                yield stream
                return
            summed = SummedStream(stream)
            yield summed
        self._checksums[PurePath(path).name] = summed.checksum

    def rename(self, path: str | os.PathLike[str], new_path: str | os.PathLike[str]) -> None:
        self._filesystem.rename(path, new_path)
        self._checksums[PurePath(new_path).name] = self._checksums.pop(PurePath(path).name)

    def concat_path(self, path: str | os.PathLike[str], suffix: str) -> Any:
        return self._filesystem.concat_path(path, suffix)

    def init_path(self, path: str | os.PathLike[str]) -> Any:
        return self._filesystem.init_path(path)

    def mkdir(self, path: str | os.PathLike[str]) -> None:
        self._filesystem.mkdir(path)

    def exists(self, path: str | os.PathLike[str]) -> bool:
        return bool(self._filesystem.exists(path))

    def rm_file(self, path: str | os.PathLike[str]) -> None:
        self._filesystem.rm_file(path)

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike[str]) -> bool:
        return True


class SummedStream:
    """A stream that is written from its start to its end, with the sum of what went in."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.checksum = 0

    def write(self, data: Any) -> Any:
        self.checksum = zlib.crc32(data, self.checksum)
        return self._stream.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def checksum_of(folder: Folder, name: str) -> int:
    """CRC-32 of a file as it is read now."""
    checksum = 0
    with folder.filesystem.open_input_stream(folder.file(name)) as stream:
        while data := stream.read(READ_BUFFER_BYTES):
            checksum = zlib.crc32(data, checksum)
    return checksum
