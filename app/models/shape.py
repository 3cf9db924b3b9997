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
    """Parameters of the largest layer."""
    num_active_parameters: int
    """Parameters that one token meets: of a mixture of experts, those of the experts that it is routed to."""
    num_active_layer_parameters: int
    """The same of one layer, on average."""
    num_layers: int
    hidden_size: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    intermediate_size: int
    """Width of the widest MLP; of a mixture of experts, of all that one token meets together."""
    vocab_size: int
    num_sliding_layers: int = 0
    """Layers whose attention sees `window_tokens` only."""
    window_tokens: int = 0


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
    layers = layers_of(decoder)
    num_idle = [_num_idle_parameters(layer, settings) for layer in layers]
    num_parameters = sum(parameter.numel() for parameter in decoder.parameters())
    layer_sizes = [sum(parameter.numel() for parameter in layer.parameters()) for layer in layers]
    num_heads = int(settings.num_attention_heads)
    head_dim = getattr(settings, "head_dim", None) or settings.hidden_size // num_heads
    return ModelShape(
        num_parameters=num_parameters,
        num_embedding_parameters=0 if output is embedding else embedding.numel(),
        num_layer_parameters=max(layer_sizes),
        num_active_parameters=num_parameters - sum(num_idle),
        num_active_layer_parameters=(sum(layer_sizes) - sum(num_idle)) // len(layers),
        num_layers=int(settings.num_hidden_layers),
        hidden_size=int(settings.hidden_size),
        num_heads=num_heads,
        num_kv_heads=int(getattr(settings, "num_key_value_heads", None) or num_heads),
        head_dim=int(head_dim),
        intermediate_size=max(_mlp_width(layer, settings) for layer in layers),
        vocab_size=int(settings.vocab_size),
        num_sliding_layers=num_sliding_layers_of(settings),
        window_tokens=int(getattr(settings, "sliding_window", None) or 0),
    )


def num_sliding_layers_of(config: Any) -> int:
    """Layers with a sliding window, of a text model's configuration."""
    if not getattr(config, "sliding_window", None):
        return 0
    types = getattr(config, "layer_types", None)
    # Without types all layers are alike.
    return int(config.num_hidden_layers) if types is None else types.count("sliding_attention")


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


EXPERTS = "experts"
"""Name under which transformers' layers keep the weights of all experts, each stacked in one tensor."""


def num_experts_per_token(config: Any) -> int | None:
    """Experts that one token is routed to; None: the model has none."""
    count = getattr(config, "num_experts_per_tok", None)
    # Hunyuan has one for each layer.
    return int(count[0] if isinstance(count, list) else count) if count else None


def experts_of(layer: nn.Module) -> list[nn.Module]:
    """Modules of a layer that hold experts."""
    return [module for name, module in layer.named_modules() if name.split(".")[-1] == EXPERTS]


def _num_idle_parameters(layer: nn.Module, config: Any) -> int:
    """Parameters of a layer that a token does not meet."""
    active = num_experts_per_token(config)
    weights = [weight for experts in experts_of(layer) for weight in experts.parameters()]
    return sum(weight.numel() // len(weight) * (len(weight) - (active or len(weight))) for weight in weights)


def _mlp_width(layer: nn.Module, config: Any) -> int:
    if not experts_of(layer):
        return int(config.intermediate_size)
    mlps = [module for module in layer.children() if any(True for _ in experts_of(module))]
    num_parameters = sum(weight.numel() for mlp in mlps for weight in mlp.parameters())
    # Gate, up and down.
    return (num_parameters - _num_idle_parameters(layer, config)) // (3 * int(config.hidden_size))


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
