"""Settings that serve model folders with a config.json, and the smallest files that pass for weights and tokenizer."""

import json
import struct
from pathlib import Path
from typing import Any

import yaml

from app.config import RunConfig
from app.recipe import load_config
from tests.models.known_models import LLAMA_1B, LLAMA_3_ROPE, LLAMA_8B

MILLION = 1_048_576
LLAMA_3B = LLAMA_8B | {
    "hidden_size": 3072,
    "num_hidden_layers": 28,
    "num_attention_heads": 24,
    "head_dim": 128,
    "intermediate_size": 8192,
    "tie_word_embeddings": True,
    "rope_parameters": LLAMA_3_ROPE | {"factor": 32.0},
}
"""meta-llama/Llama-3.2-3B-Instruct."""
SHAPES = {"1b": LLAMA_1B, "3b": LLAMA_3B, "8b": LLAMA_8B}


def write_model(folder: Path, settings: dict[str, Any], **changes: Any) -> str:
    """A model's folder; its name for the settings."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"dtype": "bfloat16"} | settings | changes))
    (folder / "tokenizer.json").write_text("{}")
    write_weights(folder / "model.safetensors")
    return str(folder)


def write_weights(path: Path) -> None:
    """Two tensors of eight bytes together."""
    tensors = {
        "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
        "b": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]},
    }
    header = json.dumps({"__metadata__": {"format": "pt"}} | tensors).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))


def million(shape: str) -> dict[str, Any]:
    """A published model that was trained to a million tokens."""
    return SHAPES[shape] | {"max_position_embeddings": MILLION}


def recipe(folder: Path, models: dict[str, Any], **serve: Any) -> RunConfig:
    """Settings with these models."""
    file = folder / "recipe.yaml"
    settings = {"run_dir": str(folder / "run"), "ray": {"num_cpus": 4}}
    file.write_text(yaml.safe_dump(settings | {"serve": {"models": models, **serve}}))
    return load_config(str(file))
