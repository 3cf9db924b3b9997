"""Reads input files in blocks and lines of bounded size; tells failing storage from broken content."""

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from app.corpus.sources import SourceFile, compression_of

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


def read_blocks(file: SourceFile) -> Iterator[bytes]:
    """Decompressed content of a file, block by block.

    Raises:
        StorageError: The storage failed.
        OSError: The compressed content is truncated or corrupt.
    """
    codec = compression_of(file.open_filesystem()[1])
    with RawFile(file) as raw:
        source = pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), codec) if codec else raw
        while block := source.read(_BLOCK_BYTES):
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
