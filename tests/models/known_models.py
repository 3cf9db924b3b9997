"""Settings of published models, written down, and tiny ones of many architectures."""

import copy
from typing import Any

from transformers import AutoConfig

from app.models.known import KNOWN_MODELS

LLAMA_3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
LLAMA_8B = KNOWN_MODELS["meta-llama/Llama-3.1-8B-Instruct"] | {
    "tie_word_embeddings": False,
    "rope_parameters": LLAMA_3_ROPE,
}
LLAMA_1B = KNOWN_MODELS["meta-llama/Llama-3.2-1B-Instruct"] | {
    "rope_parameters": LLAMA_3_ROPE | {"factor": 32.0}
}
LLAMA_70B = LLAMA_8B | {
    "hidden_size": 8192,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "intermediate_size": 28672,
}
"""meta-llama/Llama-3.1-70B-Instruct."""
QWEN3_30B_A3B = {
    "model_type": "qwen3_moe",
    "hidden_size": 2048,
    "intermediate_size": 6144,
    "moe_intermediate_size": 768,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 48,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "head_dim": 128,
    "vocab_size": 151936,
    "max_position_embeddings": 262144,
    "tie_word_embeddings": False,
}
"""Qwen/Qwen3-30B-A3B-Instruct-2507."""
TINY = {
    "model_type": "llama",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "intermediate_size": 48,
    "vocab_size": 96,
    "max_position_embeddings": 128,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
    "pad_token_id": None,
}


def configuration(settings: dict[str, Any], **changes: Any) -> Any:
    """As transformers has it."""
    # Some write into the blocks that they are given.
    return AutoConfig.for_model(**copy.deepcopy(settings | changes))
