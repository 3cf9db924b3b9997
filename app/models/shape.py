"""The sizes of a model, read from its configuration only."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from app.faults import UserError, one_line


@dataclass(frozen=True)
class ModelShape:
    """Sizes of a decoder."""

    num_parameters: int
    """All parameters; a matrix that input and output share counts once."""
    num_embedding_parameters: int
    """Parameters that are looked up and never multiplied: the input embedding, unless the output shares it."""
    num_layer_parameters: int
    """Parameters of one layer."""
    num_layers: int
    hidden_size: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    intermediate_size: int
    vocab_size: int


def shape_of(config: Any) -> ModelShape:
    """Sizes of the model that a configuration of transformers describes; no weight is made for it.

    Raises:
        UserError: Its layers are not where transformers' decoders have them.
    """
    from transformers import AutoModelForCausalLM

    # Building may write into it.
    config = copy.deepcopy(config)
    with torch.device("meta"):
        decoder = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    settings = config.get_text_config()
    embedding, output = decoder.get_input_embeddings().weight, decoder.get_output_embeddings().weight
    num_heads = int(settings.num_attention_heads)
    head_dim = getattr(settings, "head_dim", None) or settings.hidden_size // num_heads
    return ModelShape(
        num_parameters=sum(parameter.numel() for parameter in decoder.parameters()),
        num_embedding_parameters=0 if output is embedding else embedding.numel(),
        num_layer_parameters=sum(parameter.numel() for parameter in layers_of(decoder)[0].parameters()),
        num_layers=int(settings.num_hidden_layers),
        hidden_size=int(settings.hidden_size),
        num_heads=num_heads,
        num_kv_heads=int(getattr(settings, "num_key_value_heads", None) or num_heads),
        head_dim=int(head_dim),
        intermediate_size=int(settings.intermediate_size),
        vocab_size=int(settings.vocab_size),
    )


def transformers_config(field: str, model: str, settings: dict[str, Any]) -> Any:
    """A model's config.json as transformers' configuration.

    Args:
        field: The setting that names the model.
        model: Name of the model, as in the settings.
        settings: Content of config.json.

    Raises:
        UserError: transformers does not know its type, or not its values.
    """
    from transformers import CONFIG_MAPPING

    model_type = settings.get("model_type")
    if model_type not in CONFIG_MAPPING:
        raise UserError(
            f"{field}: {model!r} is of type {model_type!r}, which transformers does not know; give a model such as "
            f"Llama, Qwen, Mistral or Gemma"
        )
    try:
        return CONFIG_MAPPING[model_type].from_dict(settings)
    # Each type of model validates its values in its own way.
    except Exception as error:
        reason = one_line(error)
        raise UserError(
            f"{field}: transformers can't read the config.json of {model!r} ({reason}); give a model whose "
            f"config.json is whole"
        ) from error


def layers_of(decoder: Any) -> nn.ModuleList:
    """The decoder layers of a transformers model.

    Raises:
        UserError: They are not where transformers' decoders have them.
    """
    layers = getattr(decoder.base_model, "layers", None)
    if not isinstance(layers, nn.ModuleList):
        raise UserError(
            f"train.model: {type(decoder).__name__} keeps its layers elsewhere than transformers' decoders do; "
            f"give a model such as Llama, Qwen, Mistral or Gemma"
        )
    return layers
