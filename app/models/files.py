"""Facts about a model before it is loaded: whether it exists, its longest input, whether it has a chat template.

A model's small files are looked at where they are: a folder, an object store, the hub or its cache.
Where the hub can't be reached, a name that was never downloaded is only checked for its form.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.faults import UserError, one_line
from app.models.bundled import BUNDLED_MODELS
from app.models.places import BUNDLED_PREFIX, resolve_model
from app.storage import Folder, is_remote

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
ROPE_TYPES_THAT_COUNT_THE_FACTOR = ("linear", "dynamic", "yarn", "ntk")
"""`max_position_embeddings` of these is the length before scaling; of llama3 and longrope, the one after."""
CONFIG_FILE, TOKENIZER_FILE, TEMPLATE_FILE = "config.json", "tokenizer_config.json", "chat_template.jinja"
SMALL_FILES = (CONFIG_FILE, TOKENIZER_FILE, TEMPLATE_FILE)
HUB_TIMEOUT_SEC = 5.0
POSITIONS_BEFORE_THE_TEXT = {"roberta": 2, "xlm-roberta": 2, "camembert": 2}


@dataclass(frozen=True)
class ModelFiles:
    """Facts from a model's small files: None for each file that is missing or would need a download."""

    config: dict[str, Any] | None
    has_chat_template: bool | None
    chat_template: str | None = None
    """Where there is one of that name alone or `default`."""

    def refusal_of(self, roles: Sequence[str]) -> str | None:
        """Why the chat template takes no chat of these roles; None when it does, or is not known."""
        if self.chat_template is None:
            return None
        from jinja2 import TemplateError
        from transformers.utils.chat_template_utils import render_jinja_template

        chat = [{"role": role, "content": "text"} for role in roles]
        try:
            render_jinja_template([chat], chat_template=self.chat_template, bos_token="", eos_token="")
        except TemplateError as error:
            return one_line(error)
        return None

    @property
    def max_tokens(self) -> int | None:
        """Longest sequence that the model reads, RoPE scaling included."""
        if self.config is None:
            return None
        settings = self.config.get("text_config", self.config)
        length = settings.get("max_position_embeddings")
        if not isinstance(length, int):
            return None
        rope = settings.get("rope_parameters") or settings.get("rope_scaling") or {}
        if rope.get("rope_type", rope.get("type")) in ROPE_TYPES_THAT_COUNT_THE_FACTOR:
            length = int(rope.get("original_max_position_embeddings", length) * rope.get("factor", 1.0))
        return length - POSITIONS_BEFORE_THE_TEXT.get(self.config.get("model_type", ""), 0)

    @property
    def dim(self) -> int | None:
        """Width of the model's hidden states."""
        size = (self.config or {}).get("hidden_size")
        return size if isinstance(size, int) else None


def find_model(field: str, model: str, revision: str | None = None) -> ModelFiles:
    """Look at a model's files; a bundled model is prepared on the way.

    Args:
        field: The setting that names the model.
        model: Name of the model, as in the settings.
        revision: Revision of a hub model.

    Raises:
        UserError: There is no such model; names the field and what would be right.
    """
    if model.startswith(BUNDLED_PREFIX):
        name = model.removeprefix(BUNDLED_PREFIX)
        if name not in BUNDLED_MODELS:
            choices = ", ".join(BUNDLED_PREFIX + known for known in BUNDLED_MODELS)
            raise UserError(f"{field}: {model!r} is not bundled; give one of {choices}")
        return _read_folder(field, model, resolve_model(model))
    if is_remote(model):
        return _read_folder(field, model, model)
    folder = Path(resolve_model(model))
    if folder.is_dir() or model.startswith(("/", "~", ".")):
        return _read_folder(field, model, str(folder))
    if not HUB_NAME.fullmatch(model):
        raise UserError(
            f"{field}: {model!r} is neither a folder nor a hub name; give ORGANISATION/NAME, a folder, "
            f"s3://... or {BUNDLED_PREFIX}{BUNDLED_MODELS[0]}"
        )
    return _read_hub(field, model, revision)


def _read_folder(field: str, model: str, uri: str) -> ModelFiles:
    try:
        return _read_small_files(field, model, Folder(uri))
    except (OSError, json.JSONDecodeError) as error:
        raise UserError(
            f"{field}: {model!r} can't be read ({one_line(error)}); give a folder that this machine may read"
        ) from error


def _read_small_files(field: str, model: str, folder: Folder) -> ModelFiles:
    if not folder.exists(CONFIG_FILE):
        what = "holds no config.json" if folder.exists() else "does not exist"
        raise UserError(
            f"{field}: {model!r} {what}; give a folder in Hugging Face's layout, or ORGANISATION/NAME"
        )
    config = folder.read_json(CONFIG_FILE)
    if folder.exists(TEMPLATE_FILE):
        return ModelFiles(config, True, folder.read_bytes(TEMPLATE_FILE).decode("utf-8"))
    settings = folder.read_json(TOKENIZER_FILE) if folder.exists(TOKENIZER_FILE) else {}
    return ModelFiles(config, bool(settings.get("chat_template")), _template_in(settings))


def _template_in(tokenizer_settings: dict[str, Any]) -> str | None:
    templates = tokenizer_settings.get("chat_template") or None
    if isinstance(templates, list):
        templates = {item["name"]: item["template"] for item in templates}.get("default")
    return templates if isinstance(templates, str) else None


def _read_hub(field: str, model: str, revision: str | None) -> ModelFiles:
    from httpx import HTTPError
    from huggingface_hub import hf_hub_download, model_info, try_to_load_from_cache
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        # Asked first: without a network this gives up at once, a download after half a minute.
        info = model_info(model, revision=revision, timeout=HUB_TIMEOUT_SEC)
        names = {file.rfilename for file in info.siblings or ()} & set(SMALL_FILES)
        paths = {name: hf_hub_download(model, name, revision=revision) for name in names}
    except GatedRepoError as error:
        remedy = "gives its files to approved users only; ask for access and export HF_TOKEN"
        raise UserError(f"{field}: {model!r} {remedy}") from error
    except RevisionNotFoundError as error:
        remedy = f"has no revision {revision!r}; give a branch, tag or commit"
        raise UserError(f"{field}: {model!r} {remedy}") from error
    except RepositoryNotFoundError as error:
        remedy = "is not on the hub; give ORGANISATION/NAME, or a folder"
        raise UserError(f"{field}: {model!r} {remedy}") from error
    except (OSError, HTTPError):
        found = {name: try_to_load_from_cache(model, name, revision=revision) for name in SMALL_FILES}
        paths = {name: path for name, path in found.items() if isinstance(path, str)}

    def read(name: str) -> dict[str, Any]:
        text = Path(paths[name]).read_text("utf-8") if name in paths else "{}"
        settings = json.loads(text)
        assert isinstance(settings, dict)
        return settings

    settings = read(TOKENIZER_FILE)
    chats = TEMPLATE_FILE in paths or bool(settings.get("chat_template"))
    template = (
        Path(paths[TEMPLATE_FILE]).read_text("utf-8") if TEMPLATE_FILE in paths else _template_in(settings)
    )
    # What no tokenizer file says is not known: the cache may hold other files only.
    return ModelFiles(read(CONFIG_FILE) or None, chats if TOKENIZER_FILE in paths else None, template)
