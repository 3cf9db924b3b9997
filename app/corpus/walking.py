"""Files below a folder: on a disk each folder once, however many links lead to it."""

import errno
import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import pyarrow.fs as pafs

from app.faults import UserError
from app.storage import Folder


def list_folder(
    filesystem: pafs.FileSystem, folder: str, is_deep: bool, hidden_marks: tuple[str, ...]
) -> list[pafs.FileInfo]:
    """Files in a folder, none where it is not there.

    Args:
        filesystem: That it is on.
        folder: Its path.
        is_deep: Also those in the folders below.
        hidden_marks: What the names of files and folders that are left out begin with.

    Raises:
        UserError: a name is not UTF-8.
    """
    if isinstance(filesystem, pafs.LocalFileSystem):
        return list(_walk(folder, is_deep, hidden_marks))
    found = filesystem.get_file_info(pafs.FileSelector(folder, recursive=is_deep, allow_not_found=True))
    below = f"{folder.rstrip('/')}/"
    return [
        info
        for info in found
        if info.is_file
        and not any(part.startswith(hidden_marks) for part in info.path.removeprefix(below).split("/"))
    ]


def without_folder(infos: Sequence[pafs.FileInfo], excluded: Folder) -> list[pafs.FileInfo]:
    """Files of the same filesystem but for those in a folder, also where a link leads there."""
    is_local = isinstance(excluded.filesystem, pafs.LocalFileSystem)
    real = lru_cache(maxsize=None)(os.path.realpath if is_local else str)
    root = f"{real(excluded.path)}/"
    return [info for info in infos if not f"{real(info.path.rpartition('/')[0])}/".startswith(root)]


def _walk(folder: str, is_deep: bool, hidden_marks: tuple[str, ...]) -> Iterator[pafs.FileInfo]:
    """Links to folders are followed last, so that a file goes by its own path if it has one here."""
    folders, links = [folder], list[str]()
    seen: set[tuple[int, int]] = set()
    while folders or links:
        place = folders.pop() if folders else links.pop(0)
        try:
            status = Path(place).stat()
        except FileNotFoundError:
            continue
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(place) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if entry.name.startswith(hidden_marks) or _leads_to_itself(entry):
                    continue
                if entry.is_dir():
                    if is_deep:
                        (links if entry.is_symlink() else folders).append(entry.path)
                elif entry.is_file():
                    yield _info_of(entry)


def _leads_to_itself(entry: "os.DirEntry[str]") -> bool:
    """Whether an entry is a link that ends nowhere, but in a ring of links: as little a file as a dangling one."""
    try:
        entry.is_dir()
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return True
    return False


def _info_of(entry: "os.DirEntry[str]") -> pafs.FileInfo:
    try:
        entry.path.encode()
    except UnicodeEncodeError:
        raise UserError(f"the name of {os.fsencode(entry.path)!r} is not UTF-8, rename it") from None
    status = entry.stat()
    return pafs.FileInfo(
        entry.path, type=pafs.FileType.File, mtime_ns=status.st_mtime_ns, size=status.st_size
    )
