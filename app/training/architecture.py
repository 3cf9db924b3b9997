"""Refuses models for which our attention and loss would not compute the same as transformers."""

import copy
from typing import Any

import torch
from torch import Tensor

from app.faults import UserError, one_line
from app.models.rope import FULL_ATTENTION
from app.models.shape import layers_of
from app.training.model import LanguageModel, build_decoder
from app.training.parallel.attention import PackedSequence

REFUSED_FIELDS = {
    "attn_logit_softcapping": "caps its attention scores",
    "kv_lora_rank": "attends to compressed keys and values",
    "attention_chunk_size": "attends in chunks",
    "router_jitter_noise": "shakes what its routers see while it is trained",
    "input_jitter_noise": "shakes what its experts see while it is trained",
}
"""Fields of transformers' configurations that, when set, ask for what is not done here."""
OWN_ATTENTION_TYPES = ("falcon",)
"""Types of models whose layers compute their attention themselves, where no other can be put in."""
INSTEAD = "give a model such as Llama, Qwen, Mistral or Gemma"
"""The remedy where a model is not trained."""
QUANTIZATION_FIELDS = ("quantization_config", "compression_config")
UNUSED_DROPOUTS = ("classifier_dropout",)
"""Of heads that a language model has not."""
SLIDING_ATTENTION = "sliding_attention"
PROBE_TOKENS = (9, 14, 1)
"""Lengths of the probe's packed documents."""
PROBE_WINDOW = 5
"""Tokens of the probe's sliding windows, where the model has some."""
PROBE_TOLERANCE = 1e-4
MOST_IN_PROBE = {
    "num_experts": 16,
    "num_local_experts": 16,
    "n_routed_experts": 16,
    "moe_num_experts": 16,
    "moe_intermediate_size": 64,
    "shared_expert_intermediate_size": 64,
    # Layers before the first with experts.
    "first_k_dense_replace": 1,
    "moe_layer_start_index": 1,
}
"""Fields of transformers' configurations, and their largest value in the probe."""
MAX_PROBE_NUMBERS = 60_000_000
"""Of one of the two models that are compared, in float32: its parameters and buffers."""


def check_architecture(config: Any) -> None:
    """Refuse a model that would be trained to compute something else than transformers and vLLM will.

    Besides its settings, two layers of the architecture with random weights are run both ways.

    Args:
        config: transformers' configuration.

    Raises:
        UserError: Names what is in the way.
    """
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    text = config.get_text_config()
    if type(text) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise UserError(f"train.model: {config.model_type} is not a causal language model; {INSTEAD}")
    _check_settings(text)
    if text is not config:
        raise UserError(
            f"train.model: {config.model_type} holds a text model ({text.model_type}) among other parts, which "
            f"training would lose; give a model that is text alone, such as Llama, Qwen, Mistral or Gemma"
        )
    try:
        _probe(config)
    # Whatever an unknown architecture does with our attention: its name is to be told, not where it broke.
    except Exception as error:
        if isinstance(error, UserError):
            raise
        reason = one_line(error)[:300]
        raise UserError(
            f"train.model: {config.model_type} does not work with training's attention ({reason}); {INSTEAD}"
        ) from error


def _check_settings(config: Any) -> None:
    for field in QUANTIZATION_FIELDS:
        if settings := getattr(config, field, None):
            settings = settings if isinstance(settings, dict) else settings.to_dict()
            raise UserError(
                f"train.model: {config.model_type} is quantised ({settings.get('quant_method') or field}), which "
                f"training cannot do; give the model in bfloat16, float16 or float32"
            )
    for field, what in REFUSED_FIELDS.items():
        if getattr(config, field, None):
            raise UserError(
                f"train.model: {config.model_type} {what} ({field}), which training does not do; {INSTEAD}"
            )
    if config.model_type in OWN_ATTENTION_TYPES:
        raise UserError(
            f"train.model: {config.model_type} computes its attention in its own layers, where training's can't be put "
            f"in; {INSTEAD}"
        )
    for field, share in config.to_dict().items():
        # Layers are computed twice, and the second time others would be dropped.
        if field.endswith(("dropout", "pdrop")) and field not in UNUSED_DROPOUTS and share:
            raise UserError(
                f"train.model: {config.model_type} drops activations ({field} {share}), which training does not do; "
                f"set it to 0 in the model's config.json"
            )
    num_heads, num_kv_heads = (
        getattr(config, name, None) for name in ("num_attention_heads", "num_key_value_heads")
    )
    if isinstance(num_heads, int) and isinstance(num_kv_heads, int) and num_heads % max(num_kv_heads, 1):
        raise UserError(
            f"train.model: {config.model_type} has {num_heads} heads of queries, which {num_kv_heads} of keys and "
            f"values can't be shared by evenly; give a model whose config.json is whole"
        )
    types = set(getattr(config, "layer_types", None) or [FULL_ATTENTION])
    if not types <= {FULL_ATTENTION, SLIDING_ATTENTION}:
        others = ", ".join(sorted(types - {FULL_ATTENTION, SLIDING_ATTENTION}))
        raise UserError(
            f"train.model: {config.model_type} has layers with {others}; only full attention and sliding windows are "
            f"trained; {INSTEAD}"
        )


def _probe(config: Any) -> None:
    small = _shrunken(config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = _eager(small)
        with torch.no_grad():
            for parameter in theirs.parameters():
                # Norms and biases start as ones and zeros, with which errors could hide.
                if parameter.ndim == 1:
                    parameter.add_(torch.randn_like(parameter) * 0.05)
        ours = build_decoder(copy.deepcopy(small))
        layers_of(ours)
        ours.load_state_dict(theirs.state_dict(), assign=True)
        tokens = torch.randint(0, small.vocab_size, (sum(PROBE_TOKENS),))
    packed = PackedSequence(tuple(sum(PROBE_TOKENS[:i]) for i in range(len(PROBE_TOKENS) + 1)))
    positions = torch.cat([torch.arange(length) for length in PROBE_TOKENS])
    with torch.no_grad():
        found = LanguageModel(ours.eval(), len(tokens))(tokens, positions, None, packed)
        expected = torch.cat([_logits(theirs, part) for part in tokens.split(PROBE_TOKENS)])
    difference = float((found - expected).abs().max() / expected.abs().max())
    if not difference <= PROBE_TOLERANCE:
        raise UserError(
            f"train.model: {config.model_type} computes its logits in a way that training does not know (off by "
            f"{difference:.1e} on random weights); {INSTEAD}"
        )


def _shrunken(config: Any) -> Any:
    """Two layers of a configuration, of few experts, and of fewer heads where it would take gigabytes."""
    small = copy.deepcopy(config)
    small.num_hidden_layers, small.vocab_size = 2, 64
    small.intermediate_size = min(int(getattr(small, "intermediate_size", 0) or 256), 256)
    small.pad_token_id = small.bos_token_id = small.eos_token_id = None
    if getattr(small, "layer_types", None):
        # One of each kind.
        kinds = sorted(set(small.layer_types), key=small.layer_types.index)
        small.layer_types = (kinds * 2)[:2]
    if getattr(small, "sliding_window", None):
        small.sliding_window = PROBE_WINDOW
    for field, most in MOST_IN_PROBE.items():
        if isinstance(number := getattr(small, field, None), int):
            setattr(small, field, min(number, most))
    if _num_numbers(small) > MAX_PROBE_NUMBERS:
        num_heads = int(small.num_attention_heads)
        share = max(share for share in range(1, max(num_heads // 4, 1) + 1) if num_heads % share == 0)
        small.num_attention_heads, small.hidden_size = num_heads // share, int(small.hidden_size) // share
        if num_kv_heads := getattr(small, "num_key_value_heads", None):
            small.num_key_value_heads = max(int(num_kv_heads) // share, 1)
    if (num_numbers := _num_numbers(small)) > MAX_PROBE_NUMBERS:
        raise UserError(
            f"train.model: {config.model_type} is too wide to be tried out (two layers hold {num_numbers:,} numbers); "
            f"{INSTEAD}"
        )
    return small


def _num_numbers(config: Any) -> int:
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        decoder = AutoModelForCausalLM.from_config(copy.deepcopy(config), trust_remote_code=False)
    # GPT-Neo keeps a mask of all positions by all positions in each layer.
    return sum(tensor.numel() for tensors in (decoder.parameters(), decoder.buffers()) for tensor in tensors)


def _eager(config: Any) -> Any:
    from transformers import AutoModelForCausalLM

    config = copy.deepcopy(config)
    config._attn_implementation = "eager"
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32, trust_remote_code=False).eval()


def _logits(decoder: Any, tokens: Tensor) -> Tensor:
    logits: Tensor = decoder(input_ids=tokens.unsqueeze(0), use_cache=False).logits[0]
    return logits
