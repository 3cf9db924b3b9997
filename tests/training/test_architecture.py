# ruff: noqa: E501

import pytest

from app.faults import UserError
from app.training.architecture import check_architecture
from tests.models.known_models import TINY, configuration

LONG = 4096


@pytest.mark.parametrize(
    "settings",
    [
        {"model_type": "llama"},
        {"model_type": "llama", "attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True},
        {"model_type": "qwen2"},
        {"model_type": "qwen3"},
        {"model_type": "mistral", "sliding_window": None},
        {"model_type": "mistral", "sliding_window": LONG},
        {"model_type": "gemma"},
        {"model_type": "phi3"},
        # Its head for classes is not used.
        {"model_type": "gpt_neox", "classifier_dropout": 0.1},
    ],
    ids=lambda settings: "-".join(map(str, settings.values())),
)
def test_what_training_computes_rightly_passes(settings):
    check_architecture(configuration(TINY | settings), LONG)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"model_type": "mistral", "sliding_window": 1024}, r"mistral has a sliding window of 1024 tokens, shorter than max_seq_tokens 4096; give"),
        ({"model_type": "qwen2", "use_sliding_window": True, "sliding_window": 64, "max_window_layers": 1}, r"qwen2 has a sliding window of 64"),
        ({"model_type": "gemma2"}, r"gemma2 caps its (logits|attention scores)"),
        ({"model_type": "gemma3_text", "rope_parameters": None, "sliding_window": 64}, r"gemma3_text has a sliding window"),
        ({"model_type": "mixtral"}, r"mixtral routes tokens to experts"),
        ({"model_type": "qwen3_moe"}, r"qwen3_moe routes tokens to experts"),
        ({"model_type": "deepseek_v3"}, r"deepseek_v3 routes tokens to experts"),
        ({"model_type": "gpt2", "n_embd": 32, "n_head": 4, "n_inner": 48}, r"gpt2|GPT2LMHeadModel"),
        ({"model_type": "opt", "ffn_dim": 48, "word_embed_proj_dim": 32}, r"opt|OPTForCausalLM"),
        ({"model_type": "stablelm"}, r"stablelm does not work with training's attention \(.*\); give"),
        ({"model_type": "llama", "attention_dropout": 0.1}, r"llama drops activations \(attention_dropout 0.1\), .*; set it to 0"),
        ({"model_type": "phi3", "resid_pdrop": 0.1}, r"phi3 drops activations \(resid_pdrop 0.1\)"),
        ({"model_type": "starcoder2", "residual_dropout": 0.1}, r"starcoder2 drops activations"),
        ({"model_type": "mamba"}, r"mamba|Mamba"),
        ({"model_type": "bert"}, r"bert|Bert"),
        ({"model_type": "t5"}, r"t5|T5"),
        ({"model_type": "vit"}, r"vit|ViT"),
        ({"model_type": "granite", "attention_multiplier": 0.2, "residual_multiplier": 0.5, "logits_scaling": 8.0}, r"granite computes its logits in a way"),
        ({"model_type": "cohere", "logit_scale": 0.1}, r"cohere computes its logits in a way"),
    ],
    ids=lambda value: value.get("model_type") if isinstance(value, dict) else "",
)  # fmt: skip
def test_what_training_would_compute_wrongly_is_refused_by_name(settings, expected):
    with pytest.raises(UserError, match=rf"^train\.model: .*({expected})") as caught:
        check_architecture(configuration(TINY | settings), LONG)
    assert "\n" not in str(caught.value)


def test_the_check_changes_nothing():
    import torch

    config = configuration(TINY)
    before = config.to_dict()
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    check_architecture(config, LONG)
    assert config.to_dict() == before
    assert torch.equal(torch.rand(3), expected)
