"""Local copies of remote files, made once per node however many processes need them."""

import fcntl
import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path

import pyarrow.fs as pafs

from app.storage import Folder


def copy_once(folder: Folder, names: Iterable[str], version: str, cache: Path) -> Path:
    """Copy files into the cache, whole or not at all, and return the folder of the copy.

    Args:
        folder: Folder with the files.
        names: Which ones; with slashes for those in folders below.
        version: Changes when their content does; another version is another copy.
        cache: Folder for the copies.
    """
    target = cache / hashlib.sha256(f"{folder.uri}\n{version}".encode()).hexdigest()[:16]
    if target.is_dir():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    # The lock goes with its process: a copy that was killed blocks nobody, and the next one starts afresh.
    with target.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.is_dir():
            return target
        aside = target.with_suffix(".part")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        for name in names:
            copy = aside / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            pafs.copy_files(folder.file(name), str(copy), folder.filesystem, pafs.LocalFileSystem())
        aside.rename(target)
    return target


def local_files(folder: Folder, names: Iterable[str], version: str, cache: Path) -> Path:
    """Local folder that holds the named files: the folder itself, or this node's copy of it.

    Args:
        folder: Folder with the files.
        names: Which ones.
        version: Changes when their content does; another version is another copy.
        cache: Folder in which this node keeps copies.
    """
    if isinstance(folder.filesystem, pafs.LocalFileSystem):
        return Path(folder.path)
    return copy_once(folder, names, version, cache / "indexes")
