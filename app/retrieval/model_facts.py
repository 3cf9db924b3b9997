"""What an embedding model's own files say about it, read without loading its weights."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs

from app.models import BUNDLED_PREFIX, resolve_model
from app.storage import Folder, is_remote

ReadJson = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A sentence-transformers model as far as an index's identity and early checks need it."""

    prompts: dict[str, str]
    """The model's own prompts by name (`query`, `passage`, `document` …)."""
    dim: int | None
    """Length of its vectors; None when the files don't tell."""
    max_tokens: int | None
    """Most tokens that it reads; None when the files don't tell."""
    revision: str | None
    """Commit on the hub that the files came from, so that a moved branch is noticed."""
    files_hash: str | None
    """Of a folder's file names and sizes, so that other weights under the same path are noticed."""


def describe_model(model: str, revision: str | None = None) -> ModelFacts:
    """Read a model's facts from a hub, a local or a remote folder, or the package that bundles it.

    Raises:
        ValueError: there is no such model, or it can't be reached.
    """
    files_hash: str | None = None
    if model.startswith(BUNDLED_PREFIX) or is_remote(model) or Path(model).expanduser().is_dir():
        # A remote folder is read where it is: its weights are not needed here.
        folder = Folder(model if is_remote(model) else resolve_model(model))
        read_json: ReadJson = _folder_reader(folder)
        files_hash = _hash_files(folder)
    else:
        read_json, revision = _hub_reader(model, revision)
    config = read_json("config.json")
    if config is None:
        raise ValueError(f"retrieval.model: {model!r} has no config.json; give a sentence-transformers model")
    own = read_json("config_sentence_transformers.json") or {}
    return ModelFacts(
        prompts={name: prompt for name, prompt in (own.get("prompts") or {}).items() if prompt},
        dim=_dim(read_json, config),
        max_tokens=(read_json("sentence_bert_config.json") or {}).get("max_seq_length"),
        revision=revision,
        files_hash=files_hash,
    )


def _folder_reader(folder: Folder) -> ReadJson:
    return lambda name: folder.read_json(name) if folder.exists(name) else None


def _hub_reader(model: str, revision: str | None) -> tuple[ReadJson, str]:
    """Reader of a hub model's files at one commit, and that commit."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        config_path = Path(hf_hub_download(model, "config.json", revision=revision))
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f"retrieval.model: {model!r} at revision {revision or 'main'!r} can't be had ({reason}); "
            f"give a hub name, an existing folder, or bundled:multilingual-e5-small"
        ) from error
    commit = config_path.parent.name

    def read_json(name: str) -> Any:
        try:
            return json.loads(Path(hf_hub_download(model, name, revision=commit)).read_text("utf-8"))
        except EntryNotFoundError:
            return None

    return read_json, commit


def _hash_files(folder: Folder) -> str:
    selector = pafs.FileSelector(folder.path, recursive=True)
    files = sorted(
        f"{info.path.removeprefix(folder.path).lstrip('/')} {info.size}"
        for info in folder.filesystem.get_file_info(selector)
        if info.is_file and not info.base_name.endswith(".md")
    )
    return hashlib.sha256("\n".join(files).encode()).hexdigest()[:16]


def _dim(read_json: ReadJson, config: dict[str, Any]) -> int | None:
    """Length of the vectors that leave the model's last module; without modules they are the hidden states."""
    dim: int | None = config.get("hidden_size")
    for module in read_json("modules.json") or []:
        settings = (read_json(f"{module['path']}/config.json") or {}) if module["path"] else {}
        modes = settings.get("pooling_mode") or [
            name for name, on in settings.items() if "pooling_mode_" in name and on
        ]
        if len([modes] if isinstance(modes, str) else modes) > 1:
            return None
        for key in ("out_features", "embedding_dimension", "word_embedding_dimension"):
            dim = settings.get(key) or dim
            if settings.get(key):
                break
    return dim
