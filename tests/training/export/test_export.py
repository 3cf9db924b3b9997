import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer as FastTokenizer
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from app.models.rope import with_rope
from app.storage import Folder
from app.tokens import Tokenizer
from app.training.base_weights import load_decoder
from app.training.export.files import (
    published,
    published_names,
    read_card,
    write_config,
    write_generation_config,
    write_tokenizer,
)
from app.training.model import build_decoder
from tests.models.families import family
from tests.models.known_models import TINY, configuration
from tests.training.export.export_worker import DEFAULT_ROPE, EXPORTS, MAX_TOKENS, SEED
from tests.training.far_folder import FarFolder
from tests.training.parallel.parity_cases import Case
from tests.training.parallel.parity_worker import config_of
from tests.training.ranks import TIMEOUT_SEC, run_ranks
from tests.training.small_training import random_weights

pytestmark = pytest.mark.timeout(TIMEOUT_SEC + 30)
GENERATION = {"eos_token_id": [321, 322], "temperature": 0.6, "do_sample": True, "max_length": 128}


@pytest.fixture(scope="module")
def source(chatml, tmp_path_factory):
    """A tokenizer that cuts, and settings of generation, as published models have them."""
    folder = Path(shutil.copytree(chatml.model, tmp_path_factory.mktemp("source") / "model"))
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["truncation"] = {
        "direction": "Right",
        "max_length": 16,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "generation_config.json").write_text(json.dumps(GENERATION))
    return str(folder)


@pytest.fixture(scope="module")
def exported(source, tmp_path_factory):
    """One run of four processes for all exports."""
    folder = tmp_path_factory.mktemp("exports")
    ended = run_ranks(4, "tests.training.export.export_worker", source, str(folder))
    assert not any(ended.exit_codes), ended.output[-4000:]
    return folder, json.loads((folder / "findings.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPORTS)
def test_plain_transformers_computes_the_logits_of_the_trained_weights(exported, name):
    folder, _ = exported
    case = EXPORTS[name]
    config = case.config
    config._attn_implementation = "eager"
    expected = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    weights = random_weights(case.config, SEED)
    expected.load_state_dict({key: value.to(case.dtype).float() for key, value in weights.items()})
    loaded = AutoModelForCausalLM.from_pretrained(folder / name)
    assert loaded.dtype == case.dtype
    assert loaded.config._attn_implementation == "sdpa"
    loaded = AutoModelForCausalLM.from_pretrained(folder / name, dtype=torch.float32)
    tokens = torch.randint(0, 96, (1, 300), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(loaded.eval()(tokens).logits, expected(tokens).logits)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPORTS)
def test_the_check_finds_export_and_trained_model_equal_on_every_process(exported, name):
    results = exported[1][name]
    assert len(results) == EXPORTS[name].num_processes
    for result in results:
        assert 0 <= result["difference"] <= EXPORTS[name].tolerance
        assert result["difference"] == results[0]["difference"]


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPORTS)
def test_export_and_check_leave_the_training_as_it_was(exported, name):
    for result in exported[1][name]:
        assert result["losses"] == result["undisturbed"]
        assert result["logits_after_a_step_differ_by"] == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPORTS)
def test_the_configuration_is_the_stages_and_nothing_of_ours(exported, name):
    folder, findings = exported
    text = (folder / name / "config.json").read_text()
    assert "longstrap" not in text
    assert "_attn_implementation" not in text
    case, settings = EXPORTS[name], json.loads(text)
    assert settings["architectures"] == [f"{name.capitalize()}ForCausalLM"]
    assert settings["dtype"] == str(case.dtype).removeprefix("torch.")
    assert settings["max_position_embeddings"] == MAX_TOKENS
    assert settings["rope_parameters"] == case.rope
    config = AutoConfig.from_pretrained(folder / name)
    assert config.rope_parameters == case.rope
    assert config.tie_word_embeddings == case.case.tie_weights
    record = findings[name][0]["record"]
    assert record["rope_parameters"] == case.rope
    assert record["dtype"] == settings["dtype"]


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPORTS)
def test_the_record_has_all_files_and_nothing_else_is_left(exported, name):
    folder, findings = exported
    record = findings[name][0]["record"]
    assert record["files"] == {path.name: path.stat().st_size for path in (folder / name).iterdir()}
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == sorted(EXPORTS)
    weights = random_weights(EXPORTS[name].config, SEED)
    tied = {"lm_head.weight"} if EXPORTS[name].case.tie_weights else set()
    assert record["num_parameters"] == sum(weights[key].numel() for key in weights.keys() - tied)


@pytest.mark.slow
def test_weights_are_split_by_size(exported):
    folder, _ = exported
    index = json.loads((folder / "mistral" / "model.safetensors.index.json").read_text())
    names = set(index["weight_map"].values())
    assert len(names) > 5
    assert names == {path.name for path in (folder / "mistral").glob("*.safetensors")}
    assert [path.name for path in (folder / "llama").glob("*.safetensors")] == ["model.safetensors"]


@pytest.mark.slow
def test_others_may_read_the_weights(exported):
    folder, _ = exported
    modes = {path.stat().st_mode for path in (folder / "qwen3").iterdir()}
    assert len(modes) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPORTS)
def test_the_tokenizer_is_the_sources_and_cuts_nothing(exported, source, name):
    folder, _ = exported
    tokenizer = AutoTokenizer.from_pretrained(folder / name)
    assert tokenizer.model_max_length == MAX_TOKENS
    text = "The ship sailed north. " * 50
    assert len(tokenizer(text)["input_ids"]) > 100
    # Not all read the file through transformers, which would overrule it.
    assert len(FastTokenizer.from_file(str(folder / name / "tokenizer.json")).encode(text).ids) > 100
    assert Tokenizer(str(folder / name)).fingerprint == Tokenizer(source).fingerprint
    assert tokenizer.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False).startswith(
        "<|im_start|>"
    )


@pytest.mark.slow
def test_generation_may_use_the_new_length(exported):
    folder, _ = exported
    settings = json.loads((folder / "llama" / "generation_config.json").read_text())
    assert settings == GENERATION | {"max_length": MAX_TOKENS}
    loaded = AutoModelForCausalLM.from_pretrained(folder / "llama")
    assert loaded.generation_config.eos_token_id == [321, 322]


SPOILT = {
    "rope": "its RoPE in transformers is not the one that was trained",
    "norms": "its logits in transformers are off from the trained model's by",
    "weight": "1 weights are not the trained ones; the first is model.layers.1.mlp.up_proj.weight",
    "missing": "missing_keys ['model.layers.1.mlp.up_proj.weight']",
    "unexpected": "unexpected_keys ['model.more']",
    "tolerance": "more than -1.0e+00",
}


@pytest.mark.slow
@pytest.mark.parametrize("what", SPOILT)
def test_an_export_that_is_not_the_trained_model_is_refused_on_every_process(exported, what):
    results = exported[1]["spoilt"]
    assert len(results) == 2
    for result in results:
        assert result[what].startswith("RuntimeError")
        assert SPOILT[what] in result[what]
        assert result["restored"] == "nothing"


def test_older_tools_find_the_base(tmp_path):
    config = with_rope(config_of(Case(1, 1)), DEFAULT_ROPE, MAX_TOKENS)
    write_config(config, "LlamaForCausalLM", torch.bfloat16, tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    assert settings["rope_theta"] == 160_000.0
    assert "rope_scaling" not in settings
    yarn = EXPORTS["qwen3"].rope
    write_config(with_rope(config, yarn, MAX_TOKENS), "LlamaForCausalLM", torch.bfloat16, tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    assert settings["rope_scaling"] | {"rope_theta": settings["rope_theta"]} == yarn


@pytest.mark.parametrize(
    ("model_type", "share", "expected"),
    [
        ("phi3", 0.75, {"partial_rotary_factor": 0.75}),
        ("glm4", 1.0, {"partial_rotary_factor": 1.0}),
        ("gpt_neox", 0.5, {"partial_rotary_factor": 0.5, "rotary_pct": 0.5, "rotary_emb_base": 160_000.0}),
        ("gpt_neox", 1.0, {"rotary_pct": 1.0}),
        ("llama", None, {}),
    ],
)
def test_older_tools_find_the_share_of_a_head_that_is_turned(tmp_path, model_type, share, expected):
    rope = DEFAULT_ROPE | ({} if share is None else {"partial_rotary_factor": share})
    config = with_rope(configuration(TINY | {"model_type": model_type}), rope, MAX_TOKENS)
    write_config(config, "Any", torch.bfloat16, tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    assert expected.items() <= settings.items()
    assert ("partial_rotary_factor" in settings) == (share is not None)
    assert AutoConfig.from_pretrained(tmp_path).rope_parameters == rope


def test_older_tools_find_the_type_of_the_weights(tmp_path):
    write_config(with_rope(config_of(Case(1, 1)), DEFAULT_ROPE, MAX_TOKENS), "Any", torch.bfloat16, tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    assert settings["torch_dtype"] == settings["dtype"] == "bfloat16"


def test_older_tools_find_the_number_of_experts_under_its_published_name(tmp_path):
    config = family("qwen3_moe")
    write_config(config, "Qwen3MoeForCausalLM", torch.bfloat16, tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    assert settings["num_experts"] == settings["num_local_experts"] == config.num_experts


def test_what_vllm_alone_reads_and_nobody_trained_is_dropped(tmp_path):
    chunks = {"chunk_size": 262_144, "local_size": 8192, "original_max_position_embeddings": 262_144}
    config = configuration(TINY | {"model_type": "qwen2", "dual_chunk_attention_config": chunks})
    write_config(with_rope(config, DEFAULT_ROPE, MAX_TOKENS), "Qwen2ForCausalLM", torch.bfloat16, tmp_path)
    assert "dual_chunk_attention_config" not in json.loads((tmp_path / "config.json").read_text())


@pytest.mark.parametrize(
    "model_type", ["gpt_neox", "llama", "qwen3", "phi3", "persimmon", "starcoder2", "glm4"]
)
@pytest.mark.parametrize("is_loaded", [True, False])
def test_weights_have_the_names_of_published_files(tmp_path, model_type, is_loaded):
    config = configuration(TINY | {"model_type": model_type, "tie_word_embeddings": False})
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.save_pretrained(tmp_path)
    expected = load_file(tmp_path / "model.safetensors")
    # A stage that is resumed, or follows another one, has read no files.
    decoder = load_decoder(str(tmp_path), config) if is_loaded else build_decoder(config)
    names = published_names(decoder, dict(model.state_dict()))
    assert names.keys() == expected.keys()
    assert all(torch.equal(names[name], expected[name]) for name in names)


def test_the_front_matter_of_a_card_is_read(tmp_path):
    assert read_card(str(tmp_path), None) == {}
    for text, expected in (
        ("---\nlicense: mit\n---\n# A\n---\nx: y\n---\n", {"license": "mit"}),
        ("# No front matter", {}),
        ("---\n: - broken: [\n---\n", {}),
    ):
        (tmp_path / "README.md").write_text(text)
        assert read_card(str(tmp_path), None) == expected


def test_a_tokenizer_that_changes_on_the_way_is_an_error(source, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "app.training.export.files.TOKENIZER_FILES", ("tokenizer.json", "tokenizer_config.json")
    )
    with pytest.raises(RuntimeError, match="tokenizer differs"):
        write_tokenizer(source, None, MAX_TOKENS, tmp_path)


def test_a_source_without_settings_of_generation_gives_none(llama, tmp_path):
    write_generation_config(llama.model, None, MAX_TOKENS, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", [Folder, FarFolder])
def test_an_export_is_there_whole_or_not_at_all(tmp_path, kind):
    folder = kind(str(tmp_path / "stage" / "export"))
    with pytest.raises(ZeroDivisionError), published(folder) as place:  # noqa: PT012
        (place / "config.json").write_text("half")
        raise ZeroDivisionError
    assert not folder.exists()
    for content in ("old", "new"):
        with published(folder) as place:
            assert list(place.iterdir()) == []
            (place / content).write_text(content)
            (place / "config.json").write_text(content)
            if content == "new":
                assert folder.read_bytes("config.json") == b"old"
    assert sorted(path.name for path in (tmp_path / "stage" / "export").iterdir()) == ["config.json", "new"]
    assert folder.read_bytes("config.json") == b"new"
    assert [path.name for path in (tmp_path / "stage").iterdir()] == ["export"]


def test_the_configuration_comes_last_to_far_storage(tmp_path):
    folder = FarFolder(str(tmp_path / "export"))
    with published(folder) as place:
        for name in ("config.json", "a.safetensors", "tokenizer.json"):
            (place / name).write_text(name)
    times = {path.name: path.stat().st_ctime_ns for path in (tmp_path / "export").iterdir()}
    assert max(times, key=times.__getitem__) == "config.json"
