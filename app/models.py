"""Where a model's files are: a hub name, a folder, an object store, or a package that bundles it."""

import hashlib
import shutil
import uuid
from pathlib import Path

import pyarrow.fs as pafs

from app.config import cache_dir
from app.storage import is_remote, open_storage

BUNDLED_PREFIX = "bundled:"


def resolve_model(model: str) -> str:
    """Name or local folder that transformers, sentence-transformers and vLLM can load.

    `bundled:NAME` is taken out of its package and `s3://` and `gs://` folders are copied, both once a node, into the
    cache. Folders and hub names are returned as they are.

    Raises:
        ValueError: no such bundled model, or the remote folder is empty.
    """
    if model.startswith(BUNDLED_PREFIX):
        from app.bundled import prepare_bundled_model

        return str(prepare_bundled_model(model.removeprefix(BUNDLED_PREFIX), cache_dir()))
    if is_remote(model):
        return str(copy_to_cache(model))
    return str(Path(model).expanduser()) if model.startswith(("/", "~", "./", "../")) else model


def copy_to_cache(uri: str) -> Path:
    """Copy a remote folder into this node's cache, whole or not at all, and return where it is."""
    target = cache_dir() / "remote" / hashlib.sha256(uri.encode()).hexdigest()[:16]
    if target.exists():
        return target
    filesystem, path = open_storage(uri)
    if not filesystem.get_file_info(pafs.FileSelector(path, recursive=True, allow_not_found=True)):
        raise ValueError(f"{uri}: no such folder, or it is empty")
    aside = target.with_name(f"{target.name}.{uuid.uuid4().hex}")
    aside.parent.mkdir(parents=True, exist_ok=True)
    pafs.copy_files(path, str(aside), source_filesystem=filesystem, destination_filesystem=pafs.LocalFileSystem())
    try:
        aside.rename(target)
    except OSError:
        # Another process on this node was faster; both copies are the same.
        shutil.rmtree(aside)
    return target
