"""Attention over one text and many questions about it: the text is read once, and each question sees it and itself.

The questions stand behind the text in one sequence, so a layer needs the keys of that layer alone: no cache of all
layers is held, and nothing of the size of sequence x sequence is built.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from app.faults import UserError

ATTENTION = "longstrap_probe"
"""Name under which transformers finds the attention."""


@dataclass(frozen=True)
class Branches:
    """Where the text ends and each question that branches off from it."""

    boundaries: tuple[int, ...]
    """`[tokens of the text, end of the first question, ...]`: positions in the sequence."""

    @property
    def text_tokens(self) -> int:
        return self.boundaries[0]

    def position_ids(self) -> Tensor:
        """Place of each token in its prompt, `[tokens]`: each question goes on where the text ends."""
        places = [torch.arange(self.text_tokens)]
        places += [torch.arange(stop - start) + self.text_tokens for start, stop in pairwise(self.boundaries)]
        return torch.cat(places)


def register_attention() -> None:
    """Make `attn_implementation="longstrap_probe"` known to transformers."""
    from transformers import AttentionInterface

    AttentionInterface.register(ATTENTION, attention_of_transformers)


def attend(query: Tensor, key: Tensor, value: Tensor, branches: Branches, scale: float) -> Tensor:
    """Causal attention in the text, and from each question to the text and itself.

    Args:
        query: `[1, query_heads, tokens, head_dim]`.
        key: `[1, kv_heads, tokens, head_dim]`.
        value: The same.
        branches: What the tokens are.
        scale: Scale of the scores.

    Returns:
        `[1, query_heads, tokens, head_dim]`.
    """
    text = branches.text_tokens
    groups = query.shape[1] // key.shape[1]
    # The CPU's flash op knows no groups of heads.
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    parts = [
        scaled_dot_product_attention(
            query[:, :, :text], key[:, :, :text], value[:, :, :text], is_causal=True, scale=scale
        )
    ]
    for start, stop in pairwise(branches.boundaries):
        own = slice(start, stop)
        mask = torch.ones(stop - start, text + stop - start, dtype=torch.bool, device=query.device)
        mask = mask.tril(diagonal=text)
        keys = torch.cat([key[:, :, :text], key[:, :, own]], dim=2)
        values = torch.cat([value[:, :, :text], value[:, :, own]], dim=2)
        parts.append(
            scaled_dot_product_attention(query[:, :, own], keys, values, attn_mask=mask, scale=scale)
        )
    return torch.cat(parts, dim=2)


def attention_of_transformers(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    branches: Branches,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **arguments: Any,
) -> tuple[Tensor, None]:
    """`attend` as transformers calls it: `[1, heads, tokens, head_dim]` in, `[1, tokens, heads, head_dim]` out.

    Raises:
        UserError: The model slides a window over the text, or gives its attention something else to do.
    """
    unknown = [name for name in ("softcap", "s_aux") if arguments.get(name) is not None]
    if sliding_window is not None and sliding_window < max(branches.boundaries):
        unknown.append(f"sliding_window={sliding_window}")
    if unknown:
        raise UserError(
            f"train.model: {type(module).__name__} needs {', '.join(unknown)}, which the probe does not support; give "
            f"a model without"
        )
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    return attend(query, key, value, branches, scale).transpose(1, 2), None
