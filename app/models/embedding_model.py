"""What an embedding model's own files say about it, read without loading its weights."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow.fs as pafs

from app.faults import UserError
from app.models.small_files import CONFIG_FILE, open_model
from app.storage import Folder

ReadJson = Callable[[str], Any]

_SAMPLE_BYTES = 1 << 20
_NUM_SAMPLES = 16
"""Blocks of a large file that are hashed: its weights may be remote, and training changes all of them."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A sentence-transformers model as far as an index's identity and early checks need it."""

    prompts: dict[str, str]
    """The model's own prompts by name (`query`, `passage`, `document` …)."""
    dim: int | None
    """Length of the model's vectors; None if the files don't say."""
    max_tokens: int | None
    """Most tokens that the model can read; None if the files don't say."""
    revision: str | None
    """Commit on the hub that the files came from, so that a moved branch is noticed."""
    files_hash: str | None
    """Hash of a folder's files (samples of large ones), so that changed weights under the same path are noticed."""


def describe_model(model: str, revision: str | None = None) -> ModelFacts:
    """Read a model's facts from a hub, a local or a remote folder, or the package that bundles it.

    Raises:
        UserError: There is no such model, or it can't be reached.
    """
    from huggingface_hub import constants

    files = open_model("retrieval.model", model, revision)
    config = files.read_json(CONFIG_FILE)
    # Out of reach is no reason to go by half of the files, unless the cache is wished to be all there is.
    if config is None or not (files.is_whole or constants.HF_HUB_OFFLINE):
        reason = "it has no config.json" if files.is_whole else "the hub is out of reach"
        raise UserError(
            f"retrieval.model: {model!r} at revision {revision or 'main'!r} can't be loaded ({reason}); "
            f"give an existing folder, or bundled:multilingual-e5-small"
        )
    read_json = files.read_json
    own = read_json("config_sentence_transformers.json") or {}
    return ModelFacts(
        prompts={name: prompt for name, prompt in (own.get("prompts") or {}).items() if prompt},
        dim=_dim(read_json, config),
        max_tokens=(read_json("sentence_bert_config.json") or {}).get("max_seq_length"),
        revision=files.commit,
        files_hash=None if files.folder is None else _hash_files(files.folder),
    )


def _hash_files(folder: Folder) -> str:
    selector = pafs.FileSelector(folder.path, recursive=True)
    files = {
        info.path.removeprefix(folder.path).lstrip("/"): int(info.size)
        for info in folder.filesystem.get_file_info(selector)
        if info.is_file and not info.base_name.endswith(".md")
    }
    digest = hashlib.sha256()
    for name, num_bytes in sorted(files.items()):
        digest.update(f"{name} {num_bytes}\n".encode())
        with folder.filesystem.open_input_file(folder.file(name)) as stream:
            for start in _sample_starts(num_bytes):
                stream.seek(start)
                digest.update(stream.read(_SAMPLE_BYTES))
    return digest.hexdigest()[:16]


def _sample_starts(num_bytes: int) -> list[int]:
    """Starts of the hashed blocks of a file: all blocks of a small file; the first, the last and some between of a
    large one.
    """
    if num_bytes <= _NUM_SAMPLES * _SAMPLE_BYTES:
        return list(range(0, num_bytes, _SAMPLE_BYTES))
    last = num_bytes - _SAMPLE_BYTES
    return [last * index // (_NUM_SAMPLES - 1) for index in range(_NUM_SAMPLES)]


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
