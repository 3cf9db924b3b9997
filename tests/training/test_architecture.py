# ruff: noqa: E501

import pytest
import torch

from app.faults import UserError
from app.models import logits
from app.models.logits import LogitRule
from app.training import architecture
from app.training.architecture import check_architecture
from app.training.model import build_decoder
from tests.models.families import family
from tests.models.known_models import TINY, configuration


@pytest.mark.parametrize(
    "settings",
    [
        {"model_type": "llama"},
        {"model_type": "llama", "attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True},
        {"model_type": "qwen2"},
        {"model_type": "qwen3"},
        {"model_type": "mistral", "sliding_window": None},
        {"model_type": "mistral", "sliding_window": 64},
        {"model_type": "gemma"},
        {"model_type": "phi3"},
        {"model_type": "qwen2", "use_sliding_window": True, "sliding_window": 64, "max_window_layers": 1},
        # Its head for classes is not used.
        {"model_type": "gpt_neox", "classifier_dropout": 0.1},
    ],
    ids=lambda settings: "-".join(map(str, settings.values())),
)
def test_what_training_computes_rightly_passes(settings):
    check_architecture(configuration(TINY | settings))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"model_type": "gemma2"}, r"gemma2 caps its attention scores"),
        ({"model_type": "deepseek_v3"}, r"deepseek_v3 attends to compressed keys"),
        ({"model_type": "gpt2", "n_embd": 32, "n_head": 4, "n_inner": 48}, r"gpt2|GPT2LMHeadModel"),
        ({"model_type": "opt", "ffn_dim": 48, "word_embed_proj_dim": 32}, r"opt|OPTForCausalLM"),
        ({"model_type": "llama", "attention_dropout": 0.1}, r"llama drops activations \(attention_dropout 0.1\), .*; set it to 0"),
        ({"model_type": "phi3", "resid_pdrop": 0.1}, r"phi3 drops activations \(resid_pdrop 0.1\)"),
        ({"model_type": "starcoder2", "residual_dropout": 0.1}, r"starcoder2 drops activations"),
        ({"model_type": "mamba"}, r"mamba|Mamba"),
        ({"model_type": "bert"}, r"bert|Bert"),
        ({"model_type": "t5"}, r"t5|T5"),
        ({"model_type": "vit"}, r"vit|ViT"),
    ],
    ids=lambda value: value.get("model_type") if isinstance(value, dict) else "",
)  # fmt: skip
def test_what_training_would_compute_wrongly_is_refused_by_name(settings, expected):
    with pytest.raises(UserError, match=rf"^train\.model: .*({expected})") as caught:
        check_architecture(configuration(TINY | settings))
    assert "\n" not in str(caught.value)


def test_the_check_changes_nothing():
    import torch

    config = configuration(TINY)
    before = config.to_dict()
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    check_architecture(config)
    assert config.to_dict() == before
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    "settings",
    [
        {"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}},
        {"quantization_config": {"quant_method": "awq", "bits": 4}},
        {"compression_config": {"quant_method": "compressed-tensors"}},
    ],
    ids=lambda settings: str(settings),
)
def test_a_quantised_model_is_refused(settings):
    with pytest.raises(
        ValueError, match=r"^train\.model: llama is quantised \([\w-]+\), .*; give the model in bfloat16"
    ):
        check_architecture(configuration(TINY | settings))


def test_a_bias_that_training_left_out_is_seen(monkeypatch):
    """Biases start at zero, where nobody misses them."""
    from torch.nn import functional

    whole = functional.linear
    settings = configuration(TINY | {"model_type": "qwen2"})
    monkeypatch.setattr(
        architecture,
        "build_decoder",
        lambda config: build_decoder(config).requires_grad_(False),
    )
    check_architecture(settings)

    def without_biases(config):
        decoder = build_decoder(config)
        for module in decoder.modules():
            if isinstance(module, torch.nn.Linear):
                module.forward = lambda values, module=module: whole(values, module.weight)
        return decoder

    monkeypatch.setattr(architecture, "build_decoder", without_biases)
    with pytest.raises(UserError, match=r"qwen2 computes its logits in a way"):
        check_architecture(settings)


TEXT = {"hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 34}
VISION = {"hidden_size": 1152, "image_size": 896, "intermediate_size": 4304, "num_hidden_layers": 27}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"model_type": "qwen3_5"}, r"qwen3_5_text has layers with linear_attention"),
        ({"model_type": "llama4"}, r"llama4_text attends in chunks"),
        ({"model_type": "gemma4"}, r"gemma4 holds a text model \(gemma4_text\)"),
        ({"model_type": "gemma3", "text_config": TEXT | {"sliding_window": 1024}, "vision_config": VISION}, r"gemma3 holds a text model \(gemma3_text\)"),
        ({"model_type": "mistral3", "text_config": {"model_type": "ministral3"}, "vision_config": {"model_type": "pixtral"}}, r"mistral3 holds a text model \(ministral3\) among other parts"),
        ({"model_type": "qwen3_vl"}, r"qwen3_vl is not a causal language model"),
    ],
    ids=lambda value: value["model_type"] if isinstance(value, dict) else "",
)  # fmt: skip
def test_a_model_of_several_parts_is_refused_before_anything_is_built(monkeypatch, settings, expected):
    monkeypatch.setattr(architecture, "_probe", None)
    with pytest.raises(UserError, match=rf"^train\.model: {expected}"):
        check_architecture(configuration(settings))


@pytest.mark.parametrize(
    "changes",
    [
        # Llama 3.1 405B.
        {"hidden_size": 16384, "intermediate_size": 53248, "num_attention_heads": 128, "num_key_value_heads": 8, "head_dim": 128},
        {"model_type": "qwen3", "hidden_size": 12288, "num_attention_heads": 96, "num_key_value_heads": 96, "head_dim": 128},
        {"model_type": "gpt_neox", "hidden_size": 6144, "num_attention_heads": 64},
    ],
    ids=["llama", "qwen3", "gpt_neox"],
)  # fmt: skip
def test_a_wide_model_is_tried_out_with_fewer_heads(changes):
    config = configuration(TINY | changes)
    assert architecture._num_numbers(architecture._shrunken(config)) < architecture.MAX_PROBE_NUMBERS
    check_architecture(config)


def test_a_model_with_a_mask_of_all_its_positions_is_refused_before_it_is_built(monkeypatch):
    monkeypatch.setattr(architecture, "_eager", None)
    config = configuration({
        "model_type": "gpt_neo",
        "hidden_size": 64,
        "num_heads": 4,
        "num_layers": 2,
        "attention_types": [[["global"], 2]],
        "max_position_embeddings": 200_000,
    })  # fmt: skip
    with pytest.raises(
        UserError, match=r"^train\.model: gpt_neo is too wide to be tried out \(two layers hold 80,\d{3},"
    ):
        check_architecture(config)


@pytest.mark.parametrize("model_type", ["nanochat", "gemma3_text"])
def test_a_cap_that_training_left_out_is_seen(monkeypatch, model_type):
    config = family(model_type, final_logit_softcapping=30.0)
    check_architecture(config)
    monkeypatch.setattr(logits, "logit_rule_of", lambda config: LogitRule())
    with pytest.raises(UserError, match=rf"^train\.model: {model_type} computes its logits in a way"):
        check_architecture(config)


def test_heads_that_cannot_be_shared_evenly_are_refused_whatever_the_width():
    # So wide that fewer heads are tried out, which could be.
    config = configuration({"model_type": "llama", "num_attention_heads": 32, "num_key_value_heads": 3})
    with pytest.raises(UserError, match=r"^train\.model: llama has 32 heads of queries, which 3 of keys"):
        check_architecture(config)
