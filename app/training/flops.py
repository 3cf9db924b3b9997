"""What a training step costs in floating-point operations, and how much of a device's peak it gets.

MFU, not HFU: only what the model needs is counted. Layers computed again for activation checkpointing cost time, up to
a third of the operations, and count nothing (Chowdhery et al., PaLM, arXiv 2204.02311, appendix B).
"""

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch

_A100 = 312e12
_H100_SXM, _H100_PCIE, _H100_NVL = 989e12, 756e12, 835e12
_H200_NVL = 836e12
_B200, _GB200 = 2250e12, 2500e12
_L40S = 362e12
PEAK_FLOPS: tuple[tuple[frozenset[str], float], ...] = (
    (frozenset({"H100", "PCIE"}), _H100_PCIE),
    (frozenset({"H100", "NVL"}), _H100_NVL),
    (frozenset({"H100"}), _H100_SXM),
    (frozenset({"H200", "NVL"}), _H200_NVL),
    # The same chip as the H100's, with another memory or beside a CPU.
    (frozenset({"H200"}), _H100_SXM),
    (frozenset({"GH200"}), _H100_SXM),
    (frozenset({"A100"}), _A100),
    (frozenset({"B200"}), _B200),
    (frozenset({"GB200"}), _GB200),
    (frozenset({"L40S"}), _L40S),
)
"""Words of a device's name → its dense bfloat16 operations a second, the first that fits.

From NVIDIA's data sheets (nvidia.com/en-us/data-center/a100, h100, h200, grace-hopper-superchip, dgx-b200, gb200-nvl72,
l40s), halved where they give the figure with sparsity.
"""


@dataclass(frozen=True)
class ModelShape:
    """Sizes of a decoder."""

    num_parameters: int
    """All; a matrix that input and output share counts once."""
    num_embedding_parameters: int
    """Those that are looked up and never multiplied: the input's, unless the output shares them."""
    num_layer_parameters: int
    """Of one layer."""
    num_layers: int
    hidden_size: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    intermediate_size: int
    vocab_size: int


def shape_of(config: Any) -> ModelShape:
    """Sizes of the model that a configuration of transformers describes; no weight is made for it.

    Raises:
        ValueError: its layers are not where transformers' decoders have them.
    """
    from transformers import AutoModelForCausalLM

    from app.training.model import layers_of

    # Building may write into it.
    config = copy.deepcopy(config)
    with torch.device("meta"):
        decoder = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    settings = config.get_text_config()
    embedding, output = decoder.get_input_embeddings().weight, decoder.get_output_embeddings().weight
    num_heads = int(settings.num_attention_heads)
    head_dim = getattr(settings, "head_dim", None) or settings.hidden_size // num_heads
    return ModelShape(
        num_parameters=sum(parameter.numel() for parameter in decoder.parameters()),
        num_embedding_parameters=0 if output is embedding else embedding.numel(),
        num_layer_parameters=sum(parameter.numel() for parameter in layers_of(decoder)[0].parameters()),
        num_layers=int(settings.num_hidden_layers),
        hidden_size=int(settings.hidden_size),
        num_heads=num_heads,
        num_kv_heads=int(getattr(settings, "num_key_value_heads", None) or num_heads),
        head_dim=int(head_dim),
        intermediate_size=int(settings.intermediate_size),
        vocab_size=int(settings.vocab_size),
    )


def flops_of_sequence(shape: ModelShape, boundaries: Sequence[int]) -> float:
    """Operations of a forward and a backward pass over one packed sequence.

    A parameter multiplies and adds once per token going forward and twice going back: 6 operations (Kaplan et al.,
    arXiv 2001.08361). Attention has two such products, of scores and of values, over the causal half of each
    document's square: 2 * 6 / 2 operations per pair of tokens, for each number of each query head in each layer.

    Args:
        shape: Of the model.
        boundaries: Starts of the documents and the end, `[0, ..., tokens]`; padding counts where it is a document.
    """
    num_tokens = boundaries[-1] - boundaries[0]
    num_pairs = sum((stop - start) ** 2 for start, stop in pairwise(boundaries))
    return flops_of_pairs(shape, num_tokens, num_pairs)


def flops_of_pairs(shape: ModelShape, num_tokens: float, num_pairs: float) -> float:
    """The same, of documents that are known by their sums alone.

    Args:
        shape: Of the model.
        num_tokens: Of all documents.
        num_pairs: Sum of their squared lengths.
    """
    multiplied = shape.num_parameters - shape.num_embedding_parameters
    attention = 6.0 * num_pairs * shape.num_heads * shape.head_dim * shape.num_layers
    return 6.0 * multiplied * num_tokens + attention


def peak_flops_of(device_name: str) -> float | None:
    """Dense bfloat16 operations a second of a device, as `torch.cuda.get_device_name` calls it; None: not known."""
    words = set(re.findall(r"[A-Z0-9]+", device_name.upper()))
    if "MIG" in words:
        # A part of the device, of a size that is not worth guessing.
        return None
    return next((peak for needed, peak in PEAK_FLOPS if needed <= words), None)


def mfu(flops: float, step_sec: float, num_devices: int, peak_flops: float | None) -> float | None:
    """Share of the devices' peak that went into what the model needs.

    Args:
        flops: Of the whole step, on all devices.
        step_sec: Time that it took.
        num_devices: That worked on it.
        peak_flops: Of one device, a second; None gives None.
    """
    return None if peak_flops is None else flops / (step_sec * num_devices * peak_flops)
