# ruff: noqa: E501
"""Tiny configurations of the families of models that docs/own_model.md names."""

from typing import Any

from tests.models.known_models import LLAMA_3_ROPE, TINY, configuration

MISSING = object()
"""A setting of the others that a type does not take."""
BASE = TINY | {"hidden_size": 64, "head_dim": 16}
EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
GROUPED = {
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "moe_intermediate_size": 24,
    "first_k_dense_replace": 1,
    "n_group": 1,
    "topk_group": 1,
}
WINDOWS = {"sliding_window": 10, "layer_types": ["sliding_attention", "full_attention"]}
GPT_OSS_ROPE = {
    "rope_type": "yarn",
    "rope_theta": 150_000.0,
    "factor": 32.0,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "truncate": False,
    "original_max_position_embeddings": 16,
}

FAMILIES: dict[str, dict[str, Any]] = {
    # Full attention, one kind of layer.
    "llama": {"rope_parameters": LLAMA_3_ROPE | {"original_max_position_embeddings": 64}},
    "qwen2": {},
    "qwen3": {},
    "gemma": {},
    "phi3": {},
    "smollm3": {},
    "olmo2": {},
    "glm4": {},
    "gpt_neox": {},
    "starcoder2": {"residual_dropout": 0.0, "embedding_dropout": 0.0, "attention_dropout": 0.0},
    "arcee": {},
    "apertus": {},
    "ernie4_5": {},
    # Logits.
    "granite": {"attention_multiplier": 0.2, "residual_multiplier": 0.5, "embedding_multiplier": 3.0, "logits_scaling": 8.0},
    "cohere": {"logit_scale": 0.0625},
    "phi": {"attention_dropout": 0.0, "resid_pdrop": 0.0, "embd_pdrop": 0.0},
    "nanochat": {"final_logit_softcapping": 15.0},
    "hyperclovax": {"logits_scaling": 0.125},
    # Layers that pass no keywords on.
    "stablelm": {},
    "nemotron": {},
    # Mixtures of experts.
    "mixtral": EXPERTS | {"sliding_window": None},
    "qwen2_moe": EXPERTS | {"num_experts": 4, "moe_intermediate_size": 24, "shared_expert_intermediate_size": 24},
    "qwen3_moe": EXPERTS | {"num_experts": 4, "moe_intermediate_size": 24},
    "olmoe": EXPERTS | {"num_experts": 4},
    "flex_olmo": EXPERTS | {"num_experts": 4},
    "granitemoe": EXPERTS | {"attention_multiplier": 0.2, "residual_multiplier": 0.5, "logits_scaling": 6.0},
    "glm4_moe": EXPERTS | GROUPED,
    "dots1": EXPERTS | GROUPED | {"sliding_window": None},
    "ernie4_5_moe": {"moe_num_experts": 4, "moe_k": 2, "moe_intermediate_size": 24, "moe_num_shared_experts": 1},
    "minimax_m2": EXPERTS,
    "hunyuan_v1_moe": {"num_experts": 4, "moe_topk": 2},
    # Sliding windows.
    "mistral": {"sliding_window": 10},
    "gemma3_text": WINDOWS | {"rope_parameters": None, "final_logit_softcapping": 20.0},
    "olmo3": WINDOWS | {"rope_parameters": None},
    "cohere2": WINDOWS | {"logit_scale": 0.0625},
    "exaone4": WINDOWS | {"sliding_window_pattern": 2},
    # Attention sinks.
    "gpt_oss": WINDOWS | EXPERTS | {"rope_parameters": GPT_OSS_ROPE},
}  # fmt: skip
"""Trained."""

REFUSED: dict[str, dict[str, Any]] = {
    "falcon": {"head_dim": MISSING, "new_decoder_architecture": True},
    "gemma2": {},
    "llama4_text": {},
    "qwen3_next": {},
    "deepseek_v3": {},
    "phimoe": EXPERTS,
    "gpt2": {"n_embd": 32, "n_head": 4, "n_inner": 48},
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "mamba": {},
}


def family(model_type: str, **changes: Any) -> Any:
    """Transformers' configuration of a tiny model."""
    settings = BASE | {"model_type": model_type} | (FAMILIES | REFUSED)[model_type] | changes
    return configuration({key: value for key, value in settings.items() if value is not MISSING})
