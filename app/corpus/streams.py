"""Reads input files in blocks and lines of bounded size; tells failing storage from broken content."""

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from app.corpus.sources import SourceFile, compression_of

UNREADABLE = (OSError, pa.ArrowInvalid)
"""What pyarrow raises for broken gzip, zstd and Parquet; a failing storage raises `StorageError`."""
_BLOCK_BYTES = 256 * 1024


class StorageError(RuntimeError):
    """The storage, not the file's content, failed: nothing that a reject may cover up."""

    def __init__(self, file: SourceFile, reason: str) -> None:
        super().__init__(file, reason)
        self.file = file

    def __str__(self) -> str:
        file, reason = self.args
        return f"storage failed on {file.name}: {reason}"


class RawFile:
    """A stored file; a decoder that reads through it can't take its failures for corrupt content.

    What pyarrow asks of a Python file, no more.
    """

    def __init__(self, file: SourceFile) -> None:
        self._file = file
        filesystem, path = file.open_filesystem()
        self._stream: Any = self._guard(lambda: filesystem.open_input_file(path))

    def _guard(self, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except OSError as error:
            raise StorageError(self._file, str(error)) from error

    def __enter__(self) -> "RawFile":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def read(self, num_bytes: int = -1) -> bytes:
        data: bytes = self._guard(lambda: self._stream.read(None if num_bytes < 0 else num_bytes))
        return data

    def seek(self, position: int, whence: int = 0) -> int:
        return int(self._guard(lambda: self._stream.seek(position, whence)))

    def tell(self) -> int:
        return int(self._stream.tell())

    def close(self) -> None:
        self._stream.close()

    @property
    def closed(self) -> bool:
        return bool(self._stream.closed)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False


class UnreadableError(ValueError):
    """A file is truncated or corrupt; what could be read of it was handed out before."""

    def __init__(self, error: Exception, lost_bytes: int) -> None:
        reason = str(error)
        if "requires too much memory" in reason:
            reason += "; its window is longer than 128 MiB: compress it with zstd --long=27 or less"
        super().__init__(reason)
        self.lost_bytes = lost_bytes
        """Of the file as it is stored; all of it where nothing could be read."""


def read_blocks(file: SourceFile) -> Iterator[bytes]:
    """Decompressed content of a file, block by block.

    Raises:
        StorageError: the storage failed.
        UnreadableError: the compressed content is truncated or corrupt, after all that stands before the break.
    """
    num_bytes = 0
    try:
        for block in _decompress(file, 0, _BLOCK_BYTES):
            num_bytes += len(block)
            yield block
        return
    except UNREADABLE as error:
        fault: Exception = error
    # A decoder that fails throws away what it has of the block that it was asked for.
    for block_bytes in (4096, 1):
        try:
            for block in _decompress(file, num_bytes, block_bytes):
                num_bytes += len(block)
                yield block
        except UNREADABLE:
            pass
    raise UnreadableError(fault, 0 if num_bytes else file.num_bytes) from fault


def _decompress(file: SourceFile, start: int, block_bytes: int) -> Iterator[bytes]:
    """Content from a byte on, in blocks of that size or less."""
    codec = compression_of(file.open_filesystem()[1])
    with RawFile(file) as raw:
        source = pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), codec) if codec else raw
        while start:
            start -= len(source.read(min(start, _BLOCK_BYTES)))
        while block := source.read(block_bytes):
            yield block


def split_lines(blocks: Iterator[bytes], max_line_bytes: int) -> Iterator[bytes | None]:
    """Lines without their ends; None for one that is longer, of which no more than the limit is ever kept."""
    parts: list[bytes] = []
    num_bytes = 0
    for block in blocks:
        *ended, rest = block.split(b"\n")
        for piece in ended:
            parts.append(piece)
            num_bytes += len(piece)
            yield b"".join(parts) if num_bytes <= max_line_bytes else None
            parts, num_bytes = [], 0
        num_bytes += len(rest)
        if num_bytes <= max_line_bytes:
            parts.append(rest)
        else:
            parts.clear()
    if num_bytes:
        yield b"".join(parts) if num_bytes <= max_line_bytes else None
