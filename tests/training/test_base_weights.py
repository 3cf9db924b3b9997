"""Base models whose files are not those of the model that config.json describes."""
# ruff: noqa: E501

import json
import re

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from app.faults import UserError
from app.training.base_weights import check_weights, load_decoder
from tests.models.families import family
from tests.models.known_models import TINY, configuration


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Folders of whole models, by architecture and whether their embeddings are tied."""
    folders = {}

    def folder(model_type, is_tied):
        if (model_type, is_tied) not in folders:
            torch.manual_seed(0)
            config = configuration(TINY | {"model_type": model_type, "tie_word_embeddings": is_tied})
            place = tmp_path_factory.mktemp(model_type)
            AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(place)
            folders[model_type, is_tied] = place
        return folders[model_type, is_tied]

    return folder


def write(place, tensors, settings):
    save_file(tensors, place / "model.safetensors", {"format": "pt"})
    (place / "config.json").write_text(json.dumps(settings))


@pytest.mark.parametrize("model_type", ["llama", "gpt_neox", "qwen3"])
@pytest.mark.parametrize("is_tied", [True, False])
def test_all_weights_of_a_whole_model_are_the_files(saved, model_type, is_tied):
    folder = saved(model_type, is_tied)
    config = AutoConfig.from_pretrained(folder)
    check_weights("model", str(folder), config)
    found = load_decoder(str(folder), config).state_dict()
    stored = load_file(folder / "model.safetensors")
    names = {"embed_out.weight": "lm_head.weight"}
    assert all(torch.equal(found[names.get(name, name)], tensor) for name, tensor in stored.items())


BIASES = {f"model.layers.{layer}.self_attn.{name}_proj.bias": torch.ones(32 if name in "qo" else 16) for layer in (0, 1) for name in "qkvo"}  # fmt: skip
HEAD, EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"
CASES = {
    "no output layer": (False, lambda w: without(w, HEAD), {}, "they lack lm_head.weight;"),
    "a projection missing": (False, lambda w: without(w, "layers.1.self_attn.q_proj"), {}, "they lack model.layers.1.self_attn.q_proj.weight;"),
    "tied, neither matrix": (True, lambda w: without(w, EMBEDDING), {}, "they lack lm_head.weight, model.embed_tokens.weight;"),
    "foreign prefix": (False, lambda w: {f"base_model.model.{name}": tensor for name, tensor in w.items()}, {}, "they lack lm_head.weight, .* and 18 more; they hold .*base_model.model.* more;"),
    "a layer more in config.json": (False, dict, {"num_hidden_layers": 3}, "they lack model.layers.2.input_layernorm.weight, .* and 6 more;"),
    "a layer fewer in config.json": (False, dict, {"num_hidden_layers": 1}, "hold what a model of its config.json has not model.layers.1.* and 6 more;"),
    "biases that config.json denies": (False, lambda w: w | BIASES, {}, "hold what a model of its config.json has not model.layers.0.self_attn.k_proj.bias, .* and 5 more;"),
    "another vocabulary": (False, dict, {"vocab_size": 104}, "have another shape than its config.json says of lm_head.weight, model.embed_tokens.weight;"),
    "8-bit integers": (False, lambda w: w | {HEAD: w[HEAD].to(torch.int8)}, {}, "holds lm_head.weight as I8, which is a quantised weight;"),
    "8-bit floats": (False, lambda w: w | {HEAD: w[HEAD].to(torch.float8_e4m3fn)}, {}, "holds lm_head.weight as F8_E4M3, which"),
}  # fmt: skip


def without(tensors, part):
    return {name: tensor for name, tensor in tensors.items() if part not in name}


@pytest.mark.parametrize("case", CASES)
def test_files_of_another_model_are_refused_by_the_tensors_names(saved, tmp_path, case):
    is_tied, change, settings, expected = CASES[case]
    whole = saved("llama", is_tied)
    write(
        tmp_path,
        change(load_file(whole / "model.safetensors")),
        json.loads((whole / "config.json").read_text()) | settings,
    )
    for check in (check_weights, None):
        config = AutoConfig.from_pretrained(tmp_path)
        with pytest.raises(UserError, match=r"^train\.model: ") as caught:
            check("my/model", str(tmp_path), config) if check else load_decoder(str(tmp_path), config)
        assert re.search(expected, str(caught.value)), caught.value
        assert "\n" not in str(caught.value)


def test_either_matrix_of_a_tied_pair_is_enough(saved, tmp_path):
    whole = saved("llama", True)
    tensors = load_file(whole / "model.safetensors")
    settings = json.loads((whole / "config.json").read_text())
    write(tmp_path, without(tensors, EMBEDDING) | {HEAD: tensors[EMBEDDING]}, settings)
    config = AutoConfig.from_pretrained(tmp_path)
    check_weights("model", str(tmp_path), config)
    assert torch.equal(load_decoder(str(tmp_path), config).state_dict()[EMBEDDING], tensors[EMBEDDING])


def test_an_output_layer_of_its_own_is_not_lost_in_a_tie(saved, tmp_path):
    whole = saved("llama", True)
    tensors = load_file(whole / "model.safetensors")
    settings = json.loads((whole / "config.json").read_text())
    write(tmp_path, tensors | {HEAD: tensors[EMBEDDING] + 1}, settings)
    with pytest.raises(UserError, match=r"differs from its embedding, .* set tie_word_embeddings to false"):
        load_decoder(str(tmp_path), AutoConfig.from_pretrained(tmp_path))
    write(tmp_path, tensors | {HEAD: tensors[EMBEDDING].clone()}, settings)
    load_decoder(str(tmp_path), AutoConfig.from_pretrained(tmp_path))


def test_a_model_without_weights_is_refused_in_one_line(saved, tmp_path):
    (tmp_path / "config.json").write_text((saved("llama", True) / "config.json").read_text())
    with pytest.raises(UserError, match=r"^train\.model: the weights of .* can't be read \(.*\); give"):
        load_decoder(str(tmp_path), AutoConfig.from_pretrained(tmp_path))


@pytest.mark.parametrize("kind", [torch.float8_e4m3fn, torch.int8])
def test_experts_in_one_tensor_may_not_be_quantised_either(tmp_path, kind):
    config = family("granitemoe")
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    name = next(name for name, tensor in tensors.items() if tensor.ndim == 3)
    tensors[name] = tensors[name].to(kind)
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    told = rf"^train\.model: .* holds {re.escape(name)} as (F8_E4M3|I8), which is a quantised weight; give"
    with pytest.raises(UserError, match=told):
        check_weights("my/model", str(tmp_path), config)
    with pytest.raises(UserError, match=told):
        load_decoder(str(tmp_path), config)


@pytest.mark.parametrize("has_index", [True, False])
@pytest.mark.parametrize(
    ("kind", "told"), [(torch.int8, "int8"), (torch.float8_e4m3fn, "float8_e4m3fn"), (torch.bfloat16, None)]
)
def test_weights_in_torchs_own_format_are_looked_at_too(tmp_path, kind, told, has_index):
    config = configuration(TINY | {"tie_word_embeddings": False})
    config.save_pretrained(tmp_path)
    weights = AutoModelForCausalLM.from_config(config, dtype=torch.float32).state_dict()
    weights[HEAD] = weights[HEAD].to(kind)
    name = "pytorch_model-00001-of-00001.bin" if has_index else "pytorch_model.bin"
    torch.save(weights, tmp_path / name)
    if has_index:
        index = {"metadata": {}, "weight_map": dict.fromkeys(weights, name)}
        (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    if told is None:
        check_weights("my/model", str(tmp_path), config)
        load_decoder(str(tmp_path), config)
        return
    refusal = rf"^train\.model: .* holds lm_head\.weight as {told}, which is a quantised weight; give"
    with pytest.raises(UserError, match=refusal):
        check_weights("my/model", str(tmp_path), config)
    with pytest.raises(UserError, match=refusal):
        load_decoder(str(tmp_path), config)
