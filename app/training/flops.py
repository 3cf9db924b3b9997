"""FLOPs of a training step, and the share of a device's peak that it reaches.

MFU, not HFU: only what the model needs is counted. Layers computed again for activation checkpointing cost time, up to
a third of the operations, and count nothing (Chowdhery et al., PaLM, arXiv 2204.02311, appendix B).
"""

from collections.abc import Sequence
from itertools import pairwise

from app.models.shape import ModelShape


def flops_of_sequence(shape: ModelShape, boundaries: Sequence[int]) -> float:
    """Operations of a forward and a backward pass over one packed sequence.

    A parameter that a token meets multiplies and adds once per token going forward and twice going back: 6 operations
    (Kaplan et al., arXiv 2001.08361). Attention has two such products, of scores and of values, over the causal half of
    each document's square: 2 * 6 / 2 operations per pair of tokens, for each number of each query head in each layer.

    Args:
        shape: Sizes of the model.
        boundaries: Starts of the documents and the end, `[0, ..., tokens]`; padding counts where it is a document.
    """
    num_tokens = boundaries[-1] - boundaries[0]
    num_pairs = sum((stop - start) ** 2 for start, stop in pairwise(boundaries))
    return flops_of_pairs(shape, num_tokens, num_pairs)


def flops_of_pairs(shape: ModelShape, num_tokens: float, num_pairs: float) -> float:
    """FLOPs of documents of which only the sums of their lengths are known.

    Args:
        shape: Sizes of the model.
        num_tokens: Tokens of all documents.
        num_pairs: Sum of their squared lengths.
    """
    multiplied = shape.num_active_parameters - shape.num_embedding_parameters
    attention = 6.0 * pairs_of_layers(shape, num_tokens, num_pairs) * shape.num_heads * shape.head_dim
    return 6.0 * multiplied * num_tokens + attention


def pairs_of_layers(shape: ModelShape, num_tokens: float, num_pairs: float) -> float:
    """Sum over the layers of the squares that their attention computes half of.

    A sliding window leaves each token at most its own length of keys, which is twice that of half a square.

    Args:
        shape: Sizes of the model.
        num_tokens: Tokens of all documents.
        num_pairs: Sum of their squared lengths.
    """
    in_window = min(num_pairs, 2.0 * num_tokens * shape.window_tokens)
    return (shape.num_layers - shape.num_sliding_layers) * num_pairs + shape.num_sliding_layers * in_window


def mfu(flops: float, step_sec: float, num_devices: int, peak_flops: float | None) -> float | None:
    """Share of the devices' peak that went into what the model needs.

    Args:
        flops: FLOPs of the whole step, on all devices.
        step_sec: Time that it took.
        num_devices: Devices that worked on it.
        peak_flops: Peak FLOPs per second of one device; None gives None.
    """
    return None if peak_flops is None else flops / (step_sec * num_devices * peak_flops)
