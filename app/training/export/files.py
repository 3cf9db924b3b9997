"""The files of an exported model, as transformers, vLLM and older tools expect them."""

import copy
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs
import torch
import yaml
from torch import Tensor, nn

from app.models.small_files import CONFIG_FILE, TEMPLATES_DIR, VOCABULARY, SmallFiles, open_model
from app.storage import Folder
from app.tokens import Tokenizer

UNTRAINED_FIELDS = ("dual_chunk_attention_config",)
"""Transformers and training ignore them; vLLM does not, and would serve another model than the trained one."""
CODE_FIELD = "auto_map"
"""Names code beside the source's files, which an export does not hold; training trusts none."""
OTHER_TOKENIZERS = ("tekken.json",)
"""Training reads the files beside it; vLLM would take this one, with a chat template of its own."""
CARD_FILE = "README.md"
GENERATION_FILE = "generation_config.json"
TOKENIZER_FILE = "tokenizer.json"
TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
TOKENIZER_FILES = (
    TOKENIZER_FILE,
    TOKENIZER_CONFIG_FILE,
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "tokenizer.model",
    "spiece.model",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
)


@contextmanager
def published(folder: Folder) -> Iterator[Path]:
    """An empty local folder to write into, which becomes `folder` when the block ends; nothing does if it raises."""
    if isinstance(folder.filesystem, pafs.LocalFileSystem):
        target = Path(folder.path)
        aside = target.with_name(f".{target.name}.part")
        shutil.rmtree(aside, ignore_errors=True)
        with folder.writing(""):
            aside.mkdir(parents=True)
            yield aside
            folder.delete()
            aside.rename(target)
        return
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)
        folder.delete()
        folder.filesystem.create_dir(folder.path, recursive=True)
        # The configuration last: without it nothing takes the folder for a model.
        for path in sorted(files_in(Path(name)), key=lambda path: (path.name == CONFIG_FILE, path.name)):
            inner = path.parent.relative_to(name).as_posix()
            with (folder if inner == "." else folder / inner).replace(path.name) as aside_name:
                pafs.copy_files(str(path), aside_name, pafs.LocalFileSystem(), folder.filesystem)


def files_in(place: Path) -> list[Path]:
    """Files of a local folder and of those in it."""
    return sorted(path for path in place.rglob("*") if path.is_file())


def published_names(decoder: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights under the names of published files, which vLLM and older transformers read.

    Those in memory are transformers' own since version 5: GPT-NeoX's `embed_out` is `lm_head` there, and all experts of
    a layer are one tensor.
    """
    from transformers.core_model_loading import revert_weight_conversion

    renamed: dict[str, Tensor] = revert_weight_conversion(decoder, weights)
    # One expert is a view of all of them, which no file takes.
    return {
        name: weight.clone() if weight.untyped_storage().nbytes() != weight.nbytes else weight
        for name, weight in renamed.items()
    }


def write_weights(weights: dict[str, Tensor], place: Path, max_file_bytes: int) -> None:
    """Write safetensors, and their index where it takes several files."""
    from huggingface_hub import save_torch_state_dict

    save_torch_state_dict(weights, place, max_shard_size=max_file_bytes, metadata={"format": "pt"})
    # They come out readable for this user alone, but others may serve them.
    mode = place.stat().st_mode & 0o666
    for path in place.glob("*.safetensors"):
        path.chmod(mode)


def write_config(config: Any, architecture: str, dtype: torch.dtype, place: Path) -> None:
    exported = copy.deepcopy(config)
    exported.architectures = [architecture]
    exported.dtype = name_of(dtype)
    exported.save_pretrained(place)
    path = place / CONFIG_FILE
    settings = json.loads(path.read_text("utf-8"))
    # Where tools from before transformers 5 look; without it they would silently take their defaults.
    settings["torch_dtype"] = settings["dtype"]
    settings |= _older_rope(settings["rope_parameters"], config.model_type)
    # Since version 5 some families have one name for what their published files and older readers have another for:
    # Qwen3-MoE's `num_experts` is written as `num_local_experts`.
    for alias, name in config.attribute_map.items():
        if name in settings:
            settings.setdefault(alias, settings[name])
    for field in (*UNTRAINED_FIELDS, CODE_FIELD):
        settings.pop(field, None)
    _write_json(path, settings)


def _older_rope(parameters: dict[str, Any], model_type: str) -> dict[str, Any]:
    """RoPE as tools from before transformers 5 read it."""
    found = {}
    if sliding := parameters.get("sliding_attention"):
        found["rope_local_base_freq"] = sliding["rope_theta"]
    block = dict(parameters.get("full_attention") or parameters)
    found["rope_theta"] = block.pop("rope_theta")
    share = block.pop("partial_rotary_factor", None)
    if share is not None:
        found["partial_rotary_factor"] = share
    if model_type.startswith("gpt_neox"):
        found |= {"rotary_emb_base": found["rope_theta"], "rotary_pct": 1.0 if share is None else share}
    if block.get("rope_type", "default") != "default":
        found["rope_scaling"] = block
    return found


def write_tokenizer(source: str, revision: str | None, max_tokens: int, place: Path) -> None:
    """The source's own files, as a tokenizer that is written anew may need the very transformers that wrote it."""
    files = open_model("train.model", source, revision, needs_config=False)
    for name in sorted({*TOKENIZER_FILES, *filter(_is_of_tokenizer, files.names)}):
        _copy(files, name, place)
    path = place / TOKENIZER_CONFIG_FILE
    settings = json.loads(path.read_text("utf-8")) if path.exists() else {}
    settings.pop(CODE_FIELD, None)
    _write_json(path, settings | {"model_max_length": max_tokens})
    path = place / TOKENIZER_FILE
    if path.exists():
        tokenizer = json.loads(path.read_text("utf-8"))
        if tokenizer.get("truncation") or tokenizer.get("padding"):
            _write_json(path, tokenizer | {"truncation": None, "padding": None})
    written, wanted = Tokenizer(str(place)).fingerprint, Tokenizer(source, revision).fingerprint
    if written != wanted:
        raise RuntimeError(f"The exported tokenizer differs from {source}'s: {written}, not {wanted}")


def _is_of_tokenizer(name: str) -> bool:
    """Whether a file is a vocabulary, under whatever name, or a chat template beside the usual one."""
    if name in OTHER_TOKENIZERS:
        return False
    return bool(VOCABULARY.fullmatch(name)) or name.startswith(f"{TEMPLATES_DIR}/")


def write_generation_config(source: str, revision: str | None, max_tokens: int, place: Path) -> None:
    if not _copy(open_model("train.model", source, revision, needs_config=False), GENERATION_FILE, place):
        return
    path = place / GENERATION_FILE
    settings = json.loads(path.read_text("utf-8"))
    if (settings.get("max_length") or max_tokens) < max_tokens:
        _write_json(path, settings | {"max_length": max_tokens})


def read_card(source: str, revision: str | None) -> dict[str, Any]:
    """Front matter of a model's card; empty where there is none that can be read."""
    content = open_model("train.model", source, revision, needs_config=False).read_bytes(CARD_FILE) or b""
    _, _, rest = content.decode("utf-8", "replace").partition("---\n")
    try:
        matter = yaml.safe_load(rest.partition("\n---")[0])
    except yaml.YAMLError:
        return {}
    return matter if isinstance(matter, dict) else {}


def _copy(files: SmallFiles, name: str, place: Path) -> bool:
    content = files.read_bytes(name)
    if content is not None:
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_bytes(content)
    return content is not None


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")


def name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
