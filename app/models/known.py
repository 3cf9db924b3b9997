"""Sizes of the models that a recipe names, without loading weights and, for common models, without a hub."""

import copy
from dataclasses import dataclass
from typing import Any

from app.models.files import ModelFiles, read_model
from app.models.shape import ModelShape, shape_of, transformers_config
from app.models.small_files import HubUnreachableError

_LLAMA_8B = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
}
_LLAMA_1B = _LLAMA_8B | {
    "hidden_size": 2048,
    "num_hidden_layers": 16,
    "head_dim": 64,
    "intermediate_size": 8192,
    "tie_word_embeddings": True,
}
KNOWN_MODELS: dict[str, dict[str, Any]] = {
    "meta-llama/Llama-3.1-8B-Instruct": _LLAMA_8B,
    "meta-llama/Llama-3.2-1B-Instruct": _LLAMA_1B,
    "meta-llama/Llama-3.2-3B-Instruct": _LLAMA_1B
    | {"hidden_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 24, "head_dim": 128},
    "meta-llama/Llama-2-7b-hf": _LLAMA_8B
    | {"num_key_value_heads": 32, "intermediate_size": 11008, "vocab_size": 32000},
    "Qwen/Qwen3-8B": {
        "model_type": "qwen3",
        "hidden_size": 4096,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "intermediate_size": 12288,
        "vocab_size": 151936,
        "max_position_embeddings": 40960,
        "tie_word_embeddings": False,
    },
    "Qwen/Qwen3-4B-Instruct-2507": {
        "model_type": "qwen3",
        "hidden_size": 2560,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "intermediate_size": 9728,
        "vocab_size": 151936,
        "max_position_embeddings": 262144,
        "tie_word_embeddings": True,
    },
    "mistralai/Mistral-7B-Instruct-v0.3": {
        "model_type": "mistral",
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "intermediate_size": 14336,
        "vocab_size": 32768,
        "max_position_embeddings": 32768,
    },
    "intfloat/e5-mistral-7b-instruct": {
        "model_type": "mistral",
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "intermediate_size": 14336,
        "vocab_size": 32000,
        "max_position_embeddings": 32768,
    },
}
"""Sizes from the config.json of public models, several of which are gated on the hub."""


@dataclass(frozen=True)
class EncoderShape:
    """Sizes of an embedding model."""

    num_multiplied: int
    """Parameters but for its embeddings."""
    num_layers: int
    hidden_size: int
    """Also the size of the model's vectors."""
    is_causal: bool

    def flops(self, num_tokens: float) -> float:
        """Operations of reading one text: 2 a parameter and token, and 4 or, where it is causal, 2 a pair of tokens
        for each number of a layer (Kaplan et al., arXiv 2001.08361, section 2.1).
        """
        attention = (2.0 if self.is_causal else 4.0) * num_tokens**2 * self.hidden_size * self.num_layers
        return 2.0 * self.num_multiplied * num_tokens + attention


def find_shape(field: str, model: str, revision: str | None) -> ModelShape | None:
    """Sizes of a decoder; None where only a hub out of reach knows them.

    Args:
        field: The setting that names it.
        model: Name of the model, as in the settings.
        revision: Revision of a hub model.

    Raises:
        UserError: There is no such model, or no decoder of transformers.
    """
    settings = _find_settings(field, model, revision)
    return None if settings is None else shape_of(transformers_config(field, model, settings))


def find_max_tokens(field: str, model: str, revision: str | None) -> int | None:
    """Longest sequence that a model reads; None where only a hub out of reach knows it.

    Raises:
        UserError: There is no such model.
    """
    return ModelFiles(_find_settings(field, model, revision), None).max_tokens


def find_encoder(field: str, model: str, revision: str | None) -> EncoderShape | None:
    """Sizes of an embedding model; None where only a hub out of reach knows them.

    Raises:
        UserError: There is no such model, or transformers does not know its type.
    """
    settings = _find_settings(field, model, revision)
    return None if settings is None else _encoder_of(transformers_config(field, model, settings))


def _find_settings(field: str, model: str, revision: str | None) -> dict[str, Any] | None:
    # First, as a hub without an answer takes seconds.
    known = KNOWN_MODELS.get(model)
    if known is not None:
        return known
    try:
        return read_model(field, model, revision).config
    except HubUnreachableError:
        # A plan says that it does not know; nothing is begun with it.
        return None


def _encoder_of(config: Any) -> EncoderShape:
    import torch
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoModel

    with torch.device("meta"):
        model = AutoModel.from_config(copy.deepcopy(config), trust_remote_code=False)
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    # Of BERT's kind, with positions and types beside the words.
    embeddings = getattr(model, "embeddings", None) or model.get_input_embeddings()
    num_embedded = sum(parameter.numel() for parameter in embeddings.parameters())
    is_encoder = hasattr(model, "encoder") or type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING
    return EncoderShape(
        num_multiplied=num_parameters - num_embedded,
        num_layers=int(config.num_hidden_layers),
        hidden_size=int(config.hidden_size),
        is_causal=not is_encoder,
    )
