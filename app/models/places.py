"""Where a model's files are: a hub name, a folder, an object store, or a package that bundles it."""

from pathlib import Path

import pyarrow.fs as pafs

from app.config import cache_dir
from app.faults import UserError
from app.local_copies import copy_once
from app.storage import Folder, is_remote

BUNDLED_PREFIX = "bundled:"


def resolve_model(model: str) -> str:
    """Name or local folder that transformers, sentence-transformers and vLLM can load.

    `bundled:NAME` is taken out of its package and `s3://` and `gs://` folders are copied, both once a node, into the
    cache. Folders and hub names are returned as they are.

    Raises:
        UserError: No such bundled model, or the remote folder is empty.
    """
    if model.startswith(BUNDLED_PREFIX):
        from app.models.bundled import prepare_bundled_model

        return str(prepare_bundled_model(model.removeprefix(BUNDLED_PREFIX), cache_dir()))
    if is_remote(model):
        return str(copy_to_cache(model))
    return str(Path(model).expanduser()) if model.startswith(("/", "~", "./", "../")) else model


def copy_to_cache(uri: str) -> Path:
    """Copy a remote folder into this node's cache and return where it is; a folder that changed is copied anew."""
    folder = Folder(uri)
    selector = pafs.FileSelector(folder.path, recursive=True, allow_not_found=True)
    infos = [info for info in folder.filesystem.get_file_info(selector) if info.is_file]
    if not infos:
        raise UserError(f"{uri}: no such folder, or it is empty")
    files = sorted((info.path.removeprefix(f"{folder.path}/"), info.size, info.mtime_ns) for info in infos)
    return copy_once(folder, [name for name, _, _ in files], repr(files), cache_dir() / "remote")
