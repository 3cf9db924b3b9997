"""Files on any pyarrow filesystem (local, s3://, gs://), written completely or not at all.

On a disk: aside, then rename. On an object store a file appears when its upload is complete: what is in memory goes
straight to its name, in one request. What is written piece by piece goes aside there too, and is copied: a stream that
breaks off would be closed, and count as complete.
"""

import errno
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from app.faults import UserError, one_line

OBJECT_STORES = ("s3", "gcs", "abfs")
"""pyarrow's names of filesystems that know no folders and where a file appears when its upload is complete."""
DELAYED_OPEN = "allow_delayed_open=true"
"""Without it pyarrow's S3 opens a file in a request of its own, and a small one takes three instead of one."""


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_NO_PERMISSION = (errno.EACCES, errno.EPERM)


class NotWritableError(UserError, OSError):
    """A storage that takes no more: full, read-only, or not this user's."""


def open_storage(uri: str) -> tuple[pafs.FileSystem, str]:
    """Filesystem and path of a URI or a local path.

    Raises:
        UserError: The scheme is not one that pyarrow serves.
    """
    if "://" not in uri:
        return pafs.LocalFileSystem(), str(Path(uri).expanduser().absolute())
    if uri.startswith("s3://"):
        uri += f"{'&' if '?' in uri else '?'}{DELAYED_OPEN}"
    try:
        # pyarrow wants spaces, umlauts and brackets escaped, and gives them back unescaped.
        filesystem, path = pafs.FileSystem.from_uri(quote(uri, safe="%/:?&=@!$'()*+,;#~"))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise UserError(f"{uri}: no such filesystem ({error}); use a local path, s3:// or gs://") from error
    return filesystem, path


def is_remote(uri: str) -> bool:
    """Whether a URI is remote, not on this machine's own disk."""
    return "://" in uri and not uri.startswith("file://")


class Folder:
    """A folder on some filesystem. Picklable: it is handed to actors as it is."""

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/") if "://" in uri else str(Path(uri).expanduser().absolute())
        self.filesystem, self.path = open_storage(self.uri)

    def __reduce__(self) -> tuple[type["Folder"], tuple[str]]:
        return Folder, (self.uri,)

    def __truediv__(self, name: str) -> "Folder":
        if "://" not in self.uri:
            return Folder(f"{self.uri}/{name}")
        # Options of the filesystem (`?endpoint_override=…`) stay after the path.
        place, mark, options = self.uri.partition("?")
        return Folder(f"{place.rstrip('/')}/{name}{mark}{options}")

    def file(self, name: str) -> str:
        """Path of a file in here, for this folder's filesystem."""
        return f"{self.path}/{name}"

    def exists(self, name: str = "") -> bool:
        """Whether this folder, or the named file or folder in it, exists."""
        path = self.file(name) if name else self.path
        return bool(self.filesystem.get_file_info(path).type != pafs.FileType.NotFound)

    def list_names(self, suffix: str = "") -> list[str]:
        """Sorted names of the files directly in here; half-written ones are not listed."""
        selector = pafs.FileSelector(self.path, allow_not_found=True)
        names = [info.base_name for info in self.filesystem.get_file_info(selector) if info.is_file]
        return sorted(name for name in names if name.endswith(suffix) and not name.startswith("."))

    def read_bytes(self, name: str) -> bytes:
        with self.filesystem.open_input_file(self.file(name)) as stream:
            return bytes(stream.readall())

    def read_json(self, name: str) -> Any:
        """Content of a JSON file.

        Raises:
            UserError: it is damaged.
        """
        try:
            return json.loads(self.read_bytes(name))
        except ValueError as error:
            raise UserError(
                f"{self.uri}/{name}: is no whole JSON ({one_line(error)}); give it back from a copy, or delete it"
            ) from error

    @contextmanager
    def replace(self, name: str) -> Iterator[str]:
        """Path to write to; it becomes `name` when the block ends, and goes if the block raises.

        Raises:
            NotWritableError: the disk is full or may not be written to.
        """
        aside = self.file(f".{name}.{uuid.uuid4().hex}")
        with self.writing(name):
            if not self._is_object_store:
                self.filesystem.create_dir(self.path, recursive=True)
            try:
                yield aside
                self.filesystem.move(aside, self.file(name))
            except BaseException:
                # What can't be written can't always be deleted; the first error says why.
                with suppress(OSError):
                    if self.filesystem.get_file_info(aside).type != pafs.FileType.NotFound:
                        self.filesystem.delete_file(aside)
                raise

    @contextmanager
    def writing(self, name: str) -> Iterator[None]:
        """Tell a storage that takes no more from faults of the writer.

        Args:
            name: What is written in the block; empty: all of the folder.

        Raises:
            NotWritableError: the disk is full or may not be written to.
        """
        try:
            yield
        # FAISS, safetensors and torch have errors of their own, with the system's words in them.
        except Exception as error:
            reason = None if isinstance(error, UserError) else self._refusal_in(error)
            if reason is None:
                raise
            place = f"{self.uri}/{name}".rstrip("/")
            raise NotWritableError(
                f"{place}: can't be written ({reason}); make room or mend the permissions there, and give the same "
                f"command again"
            ) from error

    def _refusal_in(self, error: Exception) -> str | None:
        """What this folder's storage says in an error; None: it is about something else, for example a file read."""
        words = str(error)
        mine = [os.strerror(number) for number in _NO_ROOM]
        mine += [os.strerror(number) for number in _NO_PERMISSION if self.path in words]
        return next((each for each in mine if each in words), None)

    @property
    def _is_object_store(self) -> bool:
        return self.filesystem.type_name in OBJECT_STORES

    def write_bytes(self, name: str, payload: bytes | pa.Buffer) -> None:
        """Write one file, whole or not at all."""
        if self._is_object_store:
            with self.writing(name), self.filesystem.open_output_stream(self.file(name)) as stream:
                stream.write(payload)
            return
        with self.replace(name) as aside, self.filesystem.open_output_stream(aside) as stream:
            stream.write(payload)

    def write_json(self, name: str, value: Any) -> None:
        self.write_bytes(name, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())

    def write_table(self, name: str, table: pa.Table, row_group_rows: int | None = None) -> None:
        """Write one Parquet file, whole or not at all."""
        if self._is_object_store:
            buffer = pa.BufferOutputStream()
            pq.write_table(table, buffer, row_group_size=row_group_rows, compression="zstd")
            self.write_bytes(name, buffer.getvalue())
            return
        with self.replace(name) as aside:
            pq.write_table(
                table, aside, filesystem=self.filesystem, row_group_size=row_group_rows, compression="zstd"
            )

    def read_table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        return pq.read_table(self.file(name), columns=columns, filesystem=self.filesystem)

    def delete(self) -> None:
        """Remove the folder and all in it; one that is not there is fine."""
        if self.exists():
            self.filesystem.delete_dir(self.path)
