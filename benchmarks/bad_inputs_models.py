"""Bad models: names, folders, configurations, weights and RoPE blocks, each refused by name before anything starts."""
# ruff: noqa: E501

import copy
import json
import struct
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from app.config import StageConfig
from app.models.engine_args import check_engine_args
from app.models.files import find_model
from app.models.rope import check_served_tokens, rope_parameters_of, with_rope
from app.models.shape import transformers_config
from app.models.weights import check_tokenizer, check_weights
from app.storage import Folder
from app.training.architecture import check_architecture
from app.training.base_weights import load_decoder
from benchmarks.bad_inputs_judging import Case, Line

FIELD = "train.model"
LLAMA: dict[str, Any] = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "vocab_size": 96, "max_position_embeddings": 256, "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0}, "tie_word_embeddings": False,
}  # fmt: skip
YARN = {
    "rope_type": "yarn",
    "rope_theta": 10_000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 256,
}
KINDS = ("sliding_attention", "full_attention")


def model_cases(folder: Path) -> Iterator[Case]:
    """All cases of models.

    Args:
        folder: Takes their files.
    """
    for name in ("nonexist", "nonexist/model/x", "bundled:nothing", "./nowhere", "/no/such/folder", "~nobody/x", "", " ", "a b", "org/na me", "org/name\n", "../../etc", "\u4e2d\u6587/\u6a21", "x" * 5000, "org/", "/"):  # fmt: skip
        yield Case(f"name {name[:30]!r}", lambda name=name: find_model(FIELD, name), Line(f"{FIELD}: "))  # type: ignore[misc]
    for number, (what, files) in enumerate(_folders()):
        yield Case(f"folder: {what}", _finding(folder / f"folder-{number}", files), Line(f"{FIELD}: "))
    for what, changes, expected in _configurations():
        yield Case(f"config: {what}", _checking(changes), expected)
    for number, (what, content, expected) in enumerate(_files_of_weights()):
        yield Case(f"weights: {what}", _serving(folder / f"file-{number}", content), expected)
    whole = folder / "whole"
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(
        transformers_config(FIELD, "whole", dict(LLAMA)), dtype=torch.float32
    ).save_pretrained(whole)
    for number, (what, change, settings, expected) in enumerate(_tensors()):
        place = folder / f"tensors-{number}"
        yield Case(f"tensors: {what}", _training(whole, place, change, settings), expected)
    stored = (whole / "model.safetensors").read_bytes()
    for number, raw in enumerate((b"", stored[:7], stored[:100], stored[:-1], stored[:-5000], b"version https://git-lfs", stored + b"x")):  # fmt: skip
        yield Case(f"weights to train: {len(raw)} of {len(stored)} bytes", _training_file(whole, folder / f"raw-{number}", raw), Line(f"{FIELD}: "))  # fmt: skip
    for what, model, stage, expected in _stages():
        yield Case(f"RoPE: {what}", _extending(model, stage), expected)
    for name in ("tensor_paralel_size", "quantisation", "", "max_num_seq", "--dtype"):
        yield Case(f"engine argument {name!r}", partial(check_engine_args, "args", [name]), Line("args: "))
    yield Case("engine argument dtype", lambda: check_engine_args("args", ["dtype"]), None)


def _folders() -> Iterator[tuple[str, dict[str, bytes]]]:
    config, tokenizer = json.dumps(LLAMA).encode(), b"{}"
    yield "nothing in it", {}
    yield "no config", {"tokenizer.json": tokenizer}
    yield "no tokenizer", {"config.json": config}
    for what, content in {"cut": config[:40], "no JSON": b"x", "a list": b"[]", "empty": b"", "null": b"null", "not UTF-8": b'{"a": "\xff"}', "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 700\n"}.items():  # fmt: skip
        yield f"config.json {what}", {"config.json": content, "tokenizer.json": tokenizer}
    for what, content in {"cut": b'{"chat', "a list": b"[]", "not UTF-8": b"\xff"}.items():
        files = {"config.json": config, "tokenizer.json": tokenizer, "tokenizer_config.json": content}
        yield f"tokenizer_config.json {what}", files


def _configurations() -> Iterator[tuple[str, dict[str, Any], Any]]:
    refused = Line(f"{FIELD}: ")
    yield "as it should be", {}, None
    for model_type in (None, "", "nothing", 5, "bert", "t5", "clip", "gpt2", "opt", "mamba", "falcon", "gemma2", "whisper", "llama4_text", "qwen3_next"):  # fmt: skip
        yield f"of type {model_type!r}", {"model_type": model_type}, refused
    kinds: dict[str, dict[str, Any]] = {
        "bitsandbytes": {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}, "fp8": {"quantization_config": {"quant_method": "fp8"}}, "awq": {"quantization_config": {"quant_method": "awq", "bits": 4}},
        "dropout": {"attention_dropout": 0.1}, "heads of no width": {"num_attention_heads": 0}, "heads that divide nothing": {"num_attention_heads": 5, "num_key_value_heads": 3},
        "a width of text": {"hidden_size": "wide"}, "layers of text": {"num_hidden_layers": "two"}, "an unknown activation": {"hidden_act": "none_such"}, "no width": {"hidden_size": 0},
        "chunked layers": {"model_type": "qwen3", "layer_types": ["chunked_attention", "full_attention"]}, "linear layers": {"model_type": "qwen3", "layer_types": ["linear_attention", "full_attention"]},
        "kinds of too few layers": {"model_type": "qwen3", "layer_types": ["full_attention"]}, "a RoPE that is text": {"rope_parameters": "yarn"},
        "a RoPE of no kind": {"rope_parameters": {"rope_type": "magic", "rope_theta": 1e4}}, "an image model": {"model_type": "gemma3"}, "a base of text": {"rope_parameters": {"rope_type": "default", "rope_theta": "big"}},
    }  # fmt: skip
    for what, changes in kinds.items():
        yield what, changes, refused
    windows = {
        "model_type": "qwen3",
        "layer_types": list(KINDS),
        "use_sliding_window": True,
        "sliding_window": 8,
    }
    yield "windows", windows, None


def _safetensors(
    tensors: dict[str, Any] | bytes, num_bytes: int = 8, header_bytes: int | None = None
) -> bytes:
    header = tensors if isinstance(tensors, bytes) else json.dumps(tensors).encode()
    return (
        struct.pack("<Q", len(header) if header_bytes is None else header_bytes) + header + bytes(num_bytes)
    )


def _files_of_weights() -> Iterator[tuple[str, dict[str, bytes], Any]]:
    refused, name = Line(f"{FIELD}: "), "model.safetensors"
    one = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    two = {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}
    whole = _safetensors({"a": one, "b": two})
    index = json.dumps({"weight_map": {"a": name, "b": name}}).encode()
    yield "whole", {name: whole}, None
    yield "whole, with an index", {name: whole, f"{name}.index.json": index}, None
    for what, content in {
        "empty": b"", "seven bytes": b"1234567", "cut in its data": whole[:-1], "too long": whole + b"x", "cut in its header": whole[:30], "a header beyond the file": _safetensors({}, 0, 10**15),
        "a header of no JSON": _safetensors(b"{{{{", 0), "a header that is a list": _safetensors(b"[1]", 0), "tensors that overlap": _safetensors({"a": one, "b": one}), "a gap": _safetensors({"a": one, "b": two | {"data_offsets": [6, 8]}}),
        "a negative place": _safetensors({"a": one | {"data_offsets": [-4, 0]}}, 0), "backwards": _safetensors({"a": one | {"data_offsets": [4, 0]}}, 0), "places of text": _safetensors({"a": one | {"data_offsets": ["0", "4"]}}, 4),
        "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 8\n", "HTML": b"<html>not found</html>", "a tensor that is null": _safetensors({"a": None}, 0), "no place": _safetensors({"a": {"dtype": "F32", "shape": [1]}}, 4),
        "a shape that is larger than its data": _safetensors({"a": one | {"shape": [2]}, "b": two}),
    }.items():  # fmt: skip
        yield what, {name: content}, refused
    yield "none", {}, refused
    for what, content in {"cut": index[:20], "a list": b"[]", "of another file": index.replace(b"model.s", b"other.s"), "no map": b"{}", "a map of numbers": b'{"weight_map": {"a": 5}}', "a map that is a list": b'{"weight_map": []}'}.items():  # fmt: skip
        yield f"index {what}", {name: whole, f"{name}.index.json": content}, refused
    for content in (b"", b"{", b'{"model": ', b"\xff", b"version https://git-lfs"):
        yield f"tokenizer {content!r}", {name: whole, "tokenizer.json": content}, refused


def _tensors() -> Iterator[
    tuple[str, Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]], dict[str, Any], Any]
]:
    refused, norm = Line(f"{FIELD}: "), "model.norm.weight"
    yield "whole", dict, {}, "the files' own"
    for what in ("lm_head", "embed_tokens", norm, "layers.1.mlp.up_proj", "layers.0.input_layernorm"):
        yield f"{what} missing", _without(what), {}, refused
    yield "a foreign prefix", lambda w: {f"module.{name}": t for name, t in w.items()}, {}, refused
    yield "an adapter beside", lambda w: w | {"lora_A.weight": torch.ones(2, 2)}, {}, refused
    yield "a bias beside", lambda w: w | {"lm_head.bias": torch.ones(96)}, {}, refused
    yield "turned round", lambda w: w | {"lm_head.weight": w["lm_head.weight"].T.contiguous()}, {}, refused
    yield "8-bit", lambda w: w | {"lm_head.weight": w["lm_head.weight"].to(torch.int8)}, {}, refused
    for settings in ({"num_hidden_layers": 3}, {"num_hidden_layers": 1}, {"vocab_size": 97}, {"num_key_value_heads": 4}, {"intermediate_size": 47}, {"attention_bias": True}, {"tie_word_embeddings": True}):  # fmt: skip
        yield f"of another model: {settings}", dict, settings, refused


def _without(part: str) -> Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]:
    return lambda weights: {name: tensor for name, tensor in weights.items() if part not in name}


def _stages() -> Iterator[tuple[str, dict[str, Any], dict[str, Any], Any]]:
    block, length = Line("train.stages.s.rope_parameters: "), Line("train.stages.0.max_seq_tokens: ")
    yield "the rule", {}, {}, 1024
    yield "YaRN that reaches", {"rope_parameters": YARN}, {}, 1024
    yield "YaRN that does not reach", {"rope_parameters": YARN | {"factor": 2.0}}, {}, length
    yield "a block of YaRN that does not reach", {}, {"rope_parameters": YARN | {"factor": 3.0}}, length
    yield "a factor below one", {}, {"rope_parameters": YARN | {"factor": 0.5}}, length
    yield "linear that does not reach", {}, {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}}, 1024  # fmt: skip
    for what, given in {
        "no base": {"rope_type": "default"}, "no factor": {"rope_type": "yarn", "rope_theta": 1e4}, "an unknown kind": {"rope_type": "magic", "rope_theta": 1e4}, "a kind that changes": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0},
        "a base of text": {"rope_type": "default", "rope_theta": "big"}, "a factor of text": YARN | {"factor": "four"}, "a negative factor": YARN | {"factor": -4.0}, "a base of zero": {"rope_type": "default", "rope_theta": 0.0},
        "a negative base": {"rope_type": "default", "rope_theta": -1e4}, "a base that is no number": {"rope_type": "default", "rope_theta": float("nan")}, "a base without end": {"rope_type": "default", "rope_theta": float("inf")}, "a base that is true": {"rope_type": "default", "rope_theta": True},
    }.items():  # fmt: skip
        yield f"block with {what}", {}, {"rope_parameters": given}, block
    for base in (float("nan"), float("inf")):
        given = {"rope_parameters": {"rope_type": "default", "rope_theta": base}}
        yield f"a model's base of {base}", given, {}, Line("train.model: rope_parameters: ")


def _write(folder: Path, files: dict[str, bytes]) -> Folder:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return Folder(str(folder))


def _finding(folder: Path, files: dict[str, bytes]) -> Callable[[], Any]:
    def attempt() -> Any:
        _write(folder, files)
        return find_model(FIELD, str(folder))

    return attempt


def _checking(changes: dict[str, Any]) -> Callable[[], Any]:
    return lambda: check_architecture(transformers_config(FIELD, "m", copy.deepcopy(LLAMA | changes)))


def _serving(folder: Path, files: dict[str, bytes]) -> Callable[[], Any]:
    def attempt() -> None:
        place = _write(folder, files)
        check_tokenizer(FIELD, place)
        check_weights(FIELD, place)

    return attempt


def _training(whole: Path, place: Path, change: Any, settings: dict[str, Any]) -> Callable[[], Any]:
    def attempt() -> str:
        stored = load_file(whole / "model.safetensors")
        place.mkdir()
        save_file(change(stored), place / "model.safetensors", {"format": "pt"})
        config = json.loads((whole / "config.json").read_text("utf-8")) | settings
        (place / "config.json").write_text(json.dumps(config))
        found = load_decoder(str(place), transformers_config(FIELD, "m", config)).state_dict()
        return (
            "the files' own" if all(torch.equal(found[name], stored[name]) for name in stored) else "others"
        )

    return attempt


def _training_file(whole: Path, place: Path, content: bytes) -> Callable[[], Any]:
    def attempt() -> Any:
        config = (whole / "config.json").read_bytes()
        _write(place, {"config.json": config, "model.safetensors": content})
        return load_decoder(str(place), transformers_config(FIELD, "m", json.loads(config)))

    return attempt


def _extending(model: dict[str, Any], stage: dict[str, Any]) -> Callable[[], Any]:
    def attempt() -> int:
        config = transformers_config(FIELD, "m", copy.deepcopy(LLAMA | model))
        settings = {"name": "s", "max_seq_tokens": 1024, "batch_tokens": 1024, "mix": {"a": 1.0}}
        given = StageConfig.model_validate(settings | {"num_steps": 1, "learning_rate": 1e-5} | stage)
        trained = with_rope(config, rope_parameters_of(config, [given], 0), 1024)
        check_served_tokens(trained, "train.stages.0", 1024)
        return int(given.max_seq_tokens)

    return attempt
