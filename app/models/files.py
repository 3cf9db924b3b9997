"""Facts about a model before it is loaded: whether it exists, its longest input, whether it has a chat template.

A model's small files are looked at where they are: a folder, an object store, the hub, or its cache where the hub can't
be reached.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.faults import one_line
from app.models.places import resolve_model
from app.models.small_files import CONFIG_FILE, SmallFiles, is_folder, open_model
from app.storage import is_remote

ROPE_TYPES_THAT_COUNT_THE_FACTOR = ("linear", "dynamic", "yarn", "ntk")
"""`max_position_embeddings` of these is the length before scaling; of llama3 and longrope, the one after."""
TYPES_WITH_SCALED_LENGTHS = ("gemma3",)
"""Types of models whose `max_position_embeddings` is the length after any scaling, for vLLM too."""
TOKENIZER_FILE, TEMPLATE_FILE = "tokenizer_config.json", "chat_template.jinja"
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
        # A block for each kind of layers: those with full attention see the farthest.
        rope = rope.get("full_attention") or rope
        is_scaled = settings.get("model_type", "").startswith(TYPES_WITH_SCALED_LENGTHS)
        if rope.get("rope_type", rope.get("type")) in ROPE_TYPES_THAT_COUNT_THE_FACTOR and not is_scaled:
            length = int(rope.get("original_max_position_embeddings", length) * rope.get("factor", 1.0))
        return length - POSITIONS_BEFORE_THE_TEXT.get(self.config.get("model_type", ""), 0)

    @property
    def dim(self) -> int | None:
        """Width of the model's hidden states."""
        size = (self.config or {}).get("hidden_size")
        return size if isinstance(size, int) else None


def find_model(field: str, model: str, revision: str | None = None) -> ModelFiles:
    """Look at the files of a model that is about to be loaded; a bundled model is prepared on the way.

    Args:
        field: The setting that names the model.
        model: Name of the model, as in the settings.
        revision: Revision of a hub model.

    Raises:
        UserError: There is no such model, or it has no tokenizer; names the field and what would be right.
    """
    return _read(open_model(field, model, revision, needs_tokenizer=True))


def find_tokenizer(field: str, model: str, revision: str | None = None) -> ModelFiles:
    """The same of a model whose tokenizer alone is used: a folder may lack its config.json.

    Raises:
        UserError: There is no such model, or it has no tokenizer; names the field and what would be right.
    """
    has_folder = is_remote(model) or is_folder(resolve_model(model))
    return _read(open_model(field, model, revision, needs_config=not has_folder, needs_tokenizer=True))


def read_model(field: str, model: str, revision: str | None = None) -> ModelFiles:
    """The same of a model that is only calculated with: its config.json is enough.

    Raises:
        HubUnreachableError: Only the hub has it, and does not answer.
        UserError: There is no such model.
    """
    return _read(open_model(field, model, revision))


def _read(files: SmallFiles) -> ModelFiles:
    config = files.read_json(CONFIG_FILE)
    template, settings = files.read_text(TEMPLATE_FILE), files.read_json(TOKENIZER_FILE)
    for name, value in ((CONFIG_FILE, config), (TOKENIZER_FILE, settings)):
        # `null` is there, and is none either.
        if not isinstance(value, dict) and files.read_bytes(name) is not None:
            raise files.unreadable(ValueError(f"{name} is no JSON object"))
    chats = template is not None or bool((settings or {}).get("chat_template"))
    # What no tokenizer file says is not known: the cache may hold other files only.
    is_known = files.is_whole or settings is not None
    return ModelFiles(config, chats if is_known else None, template or _template_in(settings or {}))


def _template_in(tokenizer_settings: dict[str, Any]) -> str | None:
    templates = tokenizer_settings.get("chat_template") or None
    if isinstance(templates, list):
        templates = {item["name"]: item["template"] for item in templates}.get("default")
    return templates if isinstance(templates, str) else None
