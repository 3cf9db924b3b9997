"""Files of a run folder as local files, which mapping into memory needs."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow.fs as pafs

from app.local_copies import copy_once
from app.storage import Folder


def local_files(folder: Folder, names: Iterable[str], version: str, cache: Path) -> Path:
    """Local folder that holds the named files: the folder itself, or this node's copy of it.

    Args:
        folder: Where the files are.
        names: Which ones.
        version: Changes when their content does; another version is another copy.
        cache: Where this node keeps copies.
    """
    if isinstance(folder.filesystem, pafs.LocalFileSystem):
        return Path(folder.path)
    return copy_once(folder, names, version, cache / "indexes")
