"""A tiny random model in a folder, with a tokenizer that knows chats, for the probe's tests."""

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from eval.niah import bundled_text
from tests.eval.niah_settings import save_tokenizer

OWN_TOKENS = 256


def save_model(folder, own_tokens=OWN_TOKENS, model_type="llama", **changes):
    """The folder's name; the model is in float32."""
    tokenizer = save_tokenizer(folder, bundled_text())
    settings = {
        "vocab_size": tokenizer.num_ids,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": own_tokens,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
    }
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **settings | changes))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    return str(folder)
