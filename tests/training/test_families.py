"""Each family of models that the docs call trained, against transformers' own attention on one document at a time."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM

from app.config import OptimizerConfig
from app.faults import UserError
from app.models.rope import rope_of, rope_parameters_of, with_rope
from app.training.architecture import check_architecture
from app.training.base_weights import load_decoder
from app.training.batches import load_shard
from app.training.checkpoints.weights import whole_weights
from app.training.experts import router_loss_weight_of
from app.training.export.files import published_names, write_config, write_weights
from app.training.memory.activations import save_activation_memory
from app.training.model import LanguageModel, build_decoder
from app.training.parallel.attention import PackedSequence, SequenceParallel
from app.training.step import build_optimizer
from tests.models.families import FAMILIES, REFUSED, family
from tests.training.parallel.parity_cases import PACKED, Case, MemorySequences
from tests.training.parallel.parity_worker import reference
from tests.training.train_settings import stage_config

TOLERANCE = 1e-5
PAGE = Path(__file__).parents[2] / "docs" / "own_model.md"


def types_in_table(heading):
    """Types in the second column of the page's table whose first column has this heading."""
    rows = PAGE.read_text("utf-8").partition(f"| {heading} | types in transformers |")[2].split("\n\n")[0]
    return [name for row in rows.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[2])]


def test_the_page_names_all_families_that_are_tested_here():
    assert sorted(types_in_table("trained")) == sorted(FAMILIES)
    assert sorted(types_in_table("refused")) == sorted(REFUSED)


@pytest.mark.parametrize("model_type", types_in_table("trained"))
def test_a_family_that_the_page_calls_trained_is_accepted(model_type):
    check_architecture(family(model_type))


@pytest.mark.parametrize("model_type", types_in_table("refused"))
def test_a_family_that_the_page_calls_refused_is_refused_by_name(model_type):
    with pytest.raises(UserError, match=rf"^train\.model: ({model_type}|\w+ForCausalLM) .*; (give|set)"):
        check_architecture(family(model_type))


@pytest.mark.parametrize("model_type", FAMILIES)
def test_loss_and_gradients_of_packed_documents_are_those_of_each_alone(model_type):
    sequences = MemorySequences(PACKED)
    expected_loss, expected, weights = reference(Case(1, 1, family=model_type), sequences)
    decoder = build_decoder(family(model_type))
    decoder.load_state_dict(weights)
    model = LanguageModel(decoder, 7)
    save_activation_memory(model.layers, checkpoint_layers=True, offload=False, mlp_tile_tokens=None)
    shard = load_shard(sequences, 0, SequenceParallel())
    loss = model(
        shard.input_ids, shard.position_ids, shard.labels, shard.packed, 1.0 / sequences.num_targets(0)
    )
    loss.backward()
    assert abs(loss.item() / expected_loss - 1) <= TOLERANCE
    found = {name: parameter.grad for name, parameter in decoder.named_parameters()}
    assert found.keys() >= expected.keys()
    for name, gradient in expected.items():
        error = float((found[name] - gradient).norm() / gradient.norm())
        # A single number's gradient is a sum over all tokens that nearly cancels: rounding alone moves it more.
        assert error <= (TOLERANCE if gradient.numel() > 1 else 10 * TOLERANCE), name


def test_an_output_bias_that_a_mixture_may_have_is_in_loss_and_gradients():
    # Made for Phi-1 alone, a rule would pass this one by: biases start at 0, where nobody misses them.
    config = family("ernie4_5_moe", use_bias=True)
    check_architecture(config)
    decoder = random_decoder(config)
    model = LanguageModel(decoder, 7)
    tokens = torch.arange(20)
    labels = torch.cat([tokens[1:], torch.tensor([3])])
    model(tokens, tokens, labels, PackedSequence((0, 20))).backward()
    found = {
        name: parameter.grad for name, parameter in decoder.named_parameters() if parameter.requires_grad
    }
    plain = AutoModelForCausalLM.from_config(family("ernie4_5_moe", use_bias=True), dtype=torch.float32)
    plain.load_state_dict(decoder.state_dict())
    logits = plain(tokens[None], use_cache=False).logits[0]
    torch.nn.functional.cross_entropy(logits, labels, reduction="sum").backward()
    assert decoder.lm_head.bias.grad is not None
    for name, parameter in plain.named_parameters():
        if parameter.requires_grad:
            torch.testing.assert_close(found[name], parameter.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("model_type", ["phi", "ernie4_5_moe"])
def test_what_the_optimizer_holds_has_a_state_after_a_step(model_type):
    # A checkpoint of what has none can be written, and never be read.
    model = LanguageModel(random_decoder(family(model_type)), 7)
    optimizer = build_optimizer(model, OptimizerConfig())
    tokens = torch.arange(20)
    model(tokens, tokens, tokens, PackedSequence((0, 20))).backward()
    optimizer.step()
    held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    names = [name for name, parameter in model.named_parameters() if any(parameter is each for each in held)]
    assert [name for name in names if not optimizer.state.get(model.get_parameter(name))] == []


def random_decoder(config):
    torch.manual_seed(5)
    decoder = build_decoder(config)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.1)
    return decoder


def export(decoder, folder):
    """As a stage writes it, without tokenizer and card."""
    weights = {name: parameter.detach() for name, parameter in decoder.state_dict().items()}
    if decoder.config.tie_word_embeddings:
        del weights["lm_head.weight"]
    write_weights(published_names(decoder, weights), folder, 10**9)
    write_config(decoder.config, type(decoder).__name__, torch.float32, folder)
    return str(folder)


@pytest.mark.parametrize("model_type", FAMILIES)
def test_an_export_has_the_logits_of_training_in_plain_transformers_and_is_trained_on(model_type, tmp_path):
    config = family(model_type)
    stage = stage_config(name="long", max_seq_tokens=1024, batch_tokens=1024)
    config = with_rope(config, rope_parameters_of(config, [stage], 0), 1024)
    decoder = random_decoder(config)
    folder = export(decoder, tmp_path)
    tokens, positions, alone = torch.arange(20), torch.arange(20), PackedSequence((0, 20))
    with torch.no_grad():
        trained = LanguageModel(decoder.eval(), 7)(tokens, positions, None, alone)
        plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        torch.testing.assert_close(
            plain(tokens[None], use_cache=False).logits[0], trained, rtol=1e-4, atol=1e-4
        )
        assert rope_of(plain.config) == rope_of(config) != rope_of(family(model_type))
        again = load_decoder(folder, config).eval()
        assert torch.equal(LanguageModel(again, 7)(tokens, positions, None, alone), trained)


@pytest.mark.parametrize(
    ("model_type", "name"),
    [
        ("qwen3_moe", "model.layers.0.mlp.experts.3.gate_proj.weight"),
        ("mixtral", "model.layers.0.block_sparse_moe.experts.3.w1.weight"),
        ("olmoe", "model.layers.0.mlp.experts.3.down_proj.weight"),
        ("glm4_moe", "model.layers.1.mlp.experts.3.up_proj.weight"),
        ("granitemoe", "model.layers.0.block_sparse_moe.input_linear.weight"),
        ("gpt_oss", "model.layers.0.mlp.experts.gate_up_proj"),
        ("gpt_neox", "embed_out.weight"),
    ],
)
def test_an_export_has_the_names_of_published_files(model_type, name, tmp_path):
    export(random_decoder(family(model_type)), tmp_path)
    with safe_open(tmp_path / "model.safetensors", framework="pt") as tensors:
        assert name in tensors.keys()  # noqa: SIM118 (it is no dict)


def test_a_routers_corrections_are_exported_unrounded():
    model = LanguageModel(random_decoder(family("glm4_moe")), 7)
    leader = SimpleNamespace(is_leader=True, device=torch.device("cpu"))
    kinds = {name: weight.dtype for name, weight in whole_weights(model, leader, torch.bfloat16)}
    whole = [name for name, kind in kinds.items() if kind == torch.float32]
    assert whole == ["model.layers.1.mlp.gate.e_score_correction_bias"]


def test_experts_are_counted_once_though_their_layers_are_computed_again():
    model = LanguageModel(random_decoder(family("qwen3_moe")), 7)
    save_activation_memory(model.layers, checkpoint_layers=True, offload=False, mlp_tile_tokens=5)
    tokens = torch.arange(20)
    model(tokens, tokens, tokens, PackedSequence((0, 20))).backward()
    counts = model.experts.counts()
    assert counts.sum(dim=1).tolist() == [20 * 2, 20 * 2]


def test_the_routers_loss_counts_as_the_settings_or_the_model_say():
    config = family("mixtral", router_aux_loss_coef=0.02)
    assert router_loss_weight_of(config, None) == 0.0
    assert router_loss_weight_of(config, 0.3) == 0.3
    config.output_router_logits = True
    assert router_loss_weight_of(config, None) == 0.02
    assert router_loss_weight_of(family("llama"), None) == 0.0
