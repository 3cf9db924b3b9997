"""A model's small files, read where they are: a folder, an object store, the hub or its cache."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.faults import UserError, one_line
from app.models.bundled import BUNDLED_MODELS
from app.models.places import BUNDLED_PREFIX, resolve_model
from app.storage import Folder, is_remote

CONFIG_FILE = "config.json"
TEMPLATES_DIR = "additional_chat_templates"
"""Where transformers keeps chat templates with names, beside the one of chat_template.jinja."""
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
HUB_TIMEOUT_SEC = 5.0
MAX_SHOWN_CHARS = 200
"""Of a name that is none."""
VOCABULARY = re.compile(r"tokenizer(\.[\w.-]+)?\.json|tekken\.json|vocab\..+|.+\.(model|tiktoken)")
"""Names of the files in which the usual kinds of tokenizer keep their tokens."""


class HubUnreachableError(UserError):
    """A model that only the hub has, which does not answer."""


@dataclass(frozen=True)
class SmallFiles:
    """Reads a model's files by name."""

    field: str
    """The setting that names the model."""
    model: str
    read_bytes: Callable[[str], bytes | None]
    """Name → content; None where there is none."""
    folder: Folder | None = None
    """Where they are, unless on a hub."""
    commit: str | None = None
    """On the hub, that all are of."""
    names: frozenset[str] = frozenset()
    """Of all files that are there."""
    is_whole: bool = True
    """False: the hub is out of reach, and a file that its cache lacks may be there."""

    def read_text(self, name: str) -> str | None:
        """A file's text, or None.

        Raises:
            UserError: it can't be read.
        """
        try:
            content = self.read_bytes(name)
            return None if content is None else content.decode("utf-8")
        except (OSError, ValueError) as error:
            raise self.unreadable(error) from error

    def read_json(self, name: str) -> Any:
        """A file's value, or None.

        Raises:
            UserError: it can't be read.
        """
        text = self.read_text(name)
        try:
            return None if text is None else json.loads(text)
        except ValueError as error:
            raise self.unreadable(error) from error

    def unreadable(self, error: Exception) -> UserError:
        """The fault of files that are there, but not for us."""
        return UserError(
            f"{self.field}: {self.model!r} can't be read ({one_line(error)}); give a folder that this machine may read"
        )


def open_model(
    field: str,
    model: str,
    revision: str | None = None,
    needs_config: bool = True,
    needs_tokenizer: bool = False,
) -> SmallFiles:
    """Find a model's files; a bundled model is prepared on the way.

    Args:
        field: The setting that names the model.
        model: As in the settings.
        revision: Of a hub model.
        needs_config: Whether a folder must hold a config.json; a tokenizer alone has none.
        needs_tokenizer: Whether it must hold a tokenizer.

    Raises:
        HubUnreachableError: only the hub has it, and does not answer.
        UserError: there is no such model; names the field and what would be right.
    """
    files = _open(field, model, revision, needs_config)
    if needs_tokenizer and not any(VOCABULARY.fullmatch(name) for name in files.names):
        raise UserError(
            f"{field}: {model!r} holds no tokenizer; put its tokenizer.json and tokenizer_config.json there, or give "
            f"another model"
        )
    return files


def _open(field: str, model: str, revision: str | None, needs_config: bool) -> SmallFiles:
    if model.startswith(BUNDLED_PREFIX):
        name = model.removeprefix(BUNDLED_PREFIX)
        if name not in BUNDLED_MODELS:
            choices = ", ".join(BUNDLED_PREFIX + known for known in BUNDLED_MODELS)
            raise UserError(f"{field}: {model!r} is not bundled; give one of {choices}")
    # A remote folder is read where it is: its weights are not needed here.
    place = model if is_remote(model) else resolve_model(model)
    if is_remote(place) or is_folder(place) or model.startswith(("/", "~", ".")):
        return _open_folder(field, model, place, needs_config)
    if not HUB_NAME.fullmatch(model):
        raise UserError(
            f"{field}: {model[:MAX_SHOWN_CHARS]!r} is neither a folder nor a hub name; give ORGANISATION/NAME, "
            f"a folder, s3://... or {BUNDLED_PREFIX}{BUNDLED_MODELS[0]}"
        )
    files = _open_hub(field, model, revision, needs_config)
    if needs_config and CONFIG_FILE not in files.names:
        raise UserError(
            f"{field}: {model!r} has no config.json on the hub; give a model of transformers' layout"
        )
    return files


def is_folder(place: str) -> bool:
    """Whether a name is that of a folder on this machine."""
    try:
        return Path(place).is_dir()
    except OSError:
        # Longer than any file's name, for example.
        return False


def _open_folder(field: str, model: str, uri: str, needs_config: bool) -> SmallFiles:
    files = SmallFiles(field, model, lambda name: None)
    try:
        folder = Folder(uri)
        if folder.exists(CONFIG_FILE if needs_config else ""):
            return SmallFiles(
                field,
                model,
                lambda name: folder.read_bytes(name) if folder.exists(name) else None,
                folder,
                names=_names_in(folder),
            )
        what = "holds no config.json" if folder.exists() else "does not exist"
    except OSError as error:
        raise files.unreadable(error) from error
    raise UserError(
        f"{field}: {model!r} {what}; give a folder in Hugging Face's layout, or ORGANISATION/NAME"
    )


def _names_in(folder: Folder) -> frozenset[str]:
    templates = (folder / TEMPLATES_DIR).list_names(".jinja")
    return frozenset([*folder.list_names(), *(f"{TEMPLATES_DIR}/{name}" for name in templates)])


def _open_hub(field: str, model: str, revision: str | None, needs_config: bool) -> SmallFiles:
    from httpx import HTTPError
    from huggingface_hub import hf_hub_download, model_info, try_to_load_from_cache
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        # Asked first: without a network this gives up at once, a download after half a minute.
        info = model_info(model, revision=revision, timeout=HUB_TIMEOUT_SEC)
    except GatedRepoError as error:
        remedy = "gives its files to approved users only; ask for access and export HF_TOKEN"
        raise UserError(f"{field}: {model!r} {remedy}") from error
    except RevisionNotFoundError as error:
        remedy = f"has no revision {revision!r}; give a branch, tag or commit"
        raise UserError(f"{field}: {model!r} {remedy}") from error
    except RepositoryNotFoundError as error:
        remedy = "is not on the hub, or is private; give ORGANISATION/NAME, a folder, or export HF_TOKEN"
        raise UserError(f"{field}: {model!r} {remedy}") from error
    except HFValidationError as error:
        reason = one_line(error)
        raise UserError(f"{field}: {model!r} is no hub name ({reason}); give ORGANISATION/NAME") from error
    except (OSError, HTTPError) as error:

        def cached(name: str) -> bytes | None:
            path = try_to_load_from_cache(model, name, revision=revision)
            return Path(path).read_bytes() if isinstance(path, str) else None

        config = try_to_load_from_cache(model, CONFIG_FILE, revision=revision)
        if not isinstance(config, str):
            if not needs_config:
                return SmallFiles(field, model, cached, is_whole=False)
            raise HubUnreachableError(
                f"{field}: {model!r} can't be had: the hub can't be reached ({one_line(error)}), and the model is not "
                f"in the cache; give a folder"
            ) from error
        snapshot = Path(config).parent
        names = _names_in(Folder(str(snapshot)))
        return SmallFiles(field, model, cached, commit=snapshot.name, names=names, is_whole=False)
    names = frozenset(file.rfilename for file in info.siblings or ())

    def download(name: str) -> bytes | None:
        return Path(hf_hub_download(model, name, revision=info.sha)).read_bytes() if name in names else None

    return SmallFiles(field, model, download, commit=info.sha, names=names)
