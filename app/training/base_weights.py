"""The weights that training starts from: every tensor of the model comes from the files, or the model is refused.

transformers fills what the files lack with random numbers, drops what the model does not know, and casts packed
integers as if they were weights. Each is a model that trains, is exported and looks right.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from app.faults import UserError, one_line
from app.training.parallel.attention import ATTENTION, register_attention

WEIGHT_TYPES = ("F64", "F32", "F16", "BF16")
"""Of a matrix, as safetensors names them: all others are quantised."""
MATRIX_RANKS = (2, 3)
"""A mixture's experts may be one tensor. Masks that old files hold are of other ranks."""
SAFETENSORS_FILE, PICKLE_FILE = "model.safetensors", "pytorch_model.bin"
PICKLED_TYPES = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
NUM_NAMED = 3
"""Tensors that a refusal names; of the rest it gives the number."""


def load_decoder(folder: str, config: Any, revision: str | None = None) -> nn.Module:
    """A transformers model with its weights in float32 and our attention.

    Args:
        folder: Model folder or hub name.
        config: What it is loaded with: its own, with the stage's RoPE.
        revision: On the hub.

    Raises:
        UserError: the files are not this model's, by the names of the tensors.
    """
    register_attention()
    decoder = _load(folder, config, revision, dtype=torch.float32, attn_implementation=ATTENTION)
    _refuse_quantised(folder, _folder_of(folder, revision))
    output, embedding = (
        decoder.get_output_embeddings().weight, decoder.get_input_embeddings().weight
    )  # fmt: skip
    if decoder.config.tie_word_embeddings and output is not embedding:
        raise UserError(
            f"train.model: {folder!r} has an output layer that differs from its embedding, while its config.json "
            f"says that they are one; set tie_word_embeddings to false there"
        )
    # An export's names are those that transformers publishes, not those of this copy: a resumed stage has read no file.
    decoder._weight_conversions = None
    return decoder.train()


def check_weights(model: str, folder: str, config: Any) -> None:
    """Compare the names and shapes of a folder's tensors with a configuration's; no tensor is read.

    Args:
        model: As in the settings.
        folder: Where its files are; without weights nothing is known, and of pickled ones the types alone.
        config: transformers' configuration.

    Raises:
        UserError: names the tensors that are missing, unknown, of another shape, or quantised.
    """
    if not list(Path(folder).glob("*.safetensors")):
        _refuse_quantised(model, Path(folder))
        return
    _load(folder, config, None, model=model, device_map={"": "meta"})
    _refuse_quantised(model, Path(folder))


def _load(folder: str, config: Any, revision: str | None, model: str | None = None, **settings: Any) -> Any:
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    try:
        with _silence():
            decoder, found = AutoModelForCausalLM.from_pretrained(
                folder,
                revision=revision,
                config=config,
                # Told by us, by name.
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                trust_remote_code=False,
                **settings,
            )
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"train.model: the weights of {model or folder!r} can't be read ({one_line(error)}); give a model whose "
            f"files are whole"
        ) from error
    _refuse_other_tensors(model or folder, config, found)
    return decoder


def _refuse_other_tensors(model: str, config: Any, found: Mapping[str, Any]) -> None:
    mismatched = {name for name, *_ in found["mismatched_keys"]}
    faults = {
        "lack": set(found["missing_keys"]) - mismatched,
        "hold what a model of its config.json has not": found["unexpected_keys"],
        "have another shape than its config.json says of": mismatched,
    }
    told = [f"{what} {_named(names)}" for what, names in faults.items() if names]
    if told:
        raise UserError(
            f"train.model: the weight files of {model!r} are not those of a whole {config.model_type}: they "
            f"{'; they '.join(told)}; give a model whose files and config.json belong together"
        )


def _named(names: Any) -> str:
    shown = sorted(map(str, names))
    rest = len(shown) - NUM_NAMED
    return ", ".join(shown[:NUM_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _refuse_quantised(model: str, folder: Path) -> None:
    for name, kind in _matrix_types(folder):
        if kind not in WEIGHT_TYPES:
            raise UserError(
                f"train.model: {model!r} holds {name} as {kind}, which is a quantised weight; give the model in "
                f"bfloat16, float16 or float32"
            )


def _matrix_types(folder: Path) -> Iterator[tuple[str, str]]:
    """Name and type of each matrix in the files; transformers takes those of torch where there is no other."""
    if paths := _weight_files(folder, SAFETENSORS_FILE):
        for path in paths:
            yield from _stored_types(path)
        return
    for path in _weight_files(folder, PICKLE_FILE):
        for name, tensor in torch.load(path, map_location="meta", weights_only=True).items():
            if tensor.ndim in MATRIX_RANKS:
                yield name, PICKLED_TYPES.get(tensor.dtype, str(tensor.dtype).removeprefix("torch."))


def _weight_files(folder: Path, name: str) -> list[Path]:
    index = folder / f"{name}.index.json"
    names = (
        sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values())) if index.exists() else [name]
    )
    return [path for each in names if (path := folder / each).exists()]


def _stored_types(path: Path) -> Iterator[tuple[str, str]]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as tensors:
        for name in tensors.keys():  # noqa: SIM118 (it is no dict)
            tensor = tensors.get_slice(name)
            if len(tensor.get_shape()) in MATRIX_RANKS:
                yield name, tensor.get_dtype()


def _folder_of(model: str, revision: str | None) -> Path:
    """Where the files are that were loaded."""
    from transformers.utils import cached_file

    if Path(model).is_dir():
        return Path(model)
    return Path(cached_file(model, "config.json", revision=revision)).parent


@contextmanager
def _silence() -> Iterator[None]:
    """No bar and no table of transformers: what they tell of is refused in one line."""
    from transformers.utils import logging

    verbosity, has_bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if has_bar:
            logging.enable_progress_bar()
