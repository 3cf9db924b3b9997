"""Next-token loss from the last hidden states, with the logits of only one chunk of tokens in memory at a time.

The gradients are computed in the forward pass, chunk by chunk, while the chunk's logits are there; the weight's are
added up in float32. After Liger-Kernel's fused linear cross entropy (arXiv 2410.10989). torch's own
`linear_cross_entropy` (2.13) adds the losses up in the dtype of the weights: in bfloat16 4,096 tokens were off by 2 %.
"""

from typing import Any

import torch
from torch import Tensor

from app.models.logits import LogitRule, OutputLayer

IGNORED = -100
"""Label of a token that is not predicted."""


def summed_loss(
    hidden: Tensor, output: OutputLayer, labels: Tensor, chunk_tokens: int, scale: float = 1.0
) -> Tensor:
    """`scale` times the sum of the cross entropies of all labels that count, in float32; 0 where none does.

    Args:
        hidden: Last hidden states `[tokens, hidden_size]`.
        output: The output layer.
        labels: The token that follows each, or `IGNORED`, `[tokens]`.
        chunk_tokens: Tokens whose logits are there at once.
        scale: Usually one over a number of tokens; in here it meets the gradient before that is rounded.
    """
    loss: Tensor = _SummedLoss.apply(
        hidden, output.weight, output.bias, output.rule, labels, chunk_tokens, scale
    )
    return loss


class _SummedLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        rule: LogitRule,
        labels: Tensor,
        chunk_tokens: int,
        scale: float,
    ) -> Tensor:
        output = OutputLayer(weight, bias, rule)
        needed = ctx.needs_input_grad[:3]
        grad_hidden = torch.zeros_like(hidden) if needed[0] else None
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if needed[1] else None
        grad_bias = torch.zeros_like(bias, dtype=torch.float32) if needed[2] and bias is not None else None
        loss = hidden.new_zeros((), dtype=torch.float32)
        for start in range(0, len(labels), chunk_tokens):
            chunk = slice(start, start + chunk_tokens)
            is_label = labels[chunk] != IGNORED
            # Prompts and padding take no logits at all.
            states, targets = hidden[chunk][is_label], labels[chunk][is_label]
            if not len(targets):
                continue
            logits = output.logits(states)
            log_sum = logits.logsumexp(dim=-1)
            loss += (log_sum - logits.gather(1, targets.unsqueeze(1)).squeeze(1)).sum()
            if not any(needed):
                continue
            slope = rule.slope(logits)
            # Softmax minus the one-hot label, where the logits were.
            gradient = logits.sub_(log_sum.unsqueeze(1)).exp_()
            gradient.scatter_add_(1, targets.unsqueeze(1), gradient.new_full((len(targets), 1), -1.0))
            gradient = gradient.mul_(slope * scale if isinstance(slope, float) else slope.mul_(scale))
            if grad_bias is not None:
                grad_bias += gradient.sum(dim=0)
            gradient = gradient.to(hidden.dtype)
            if grad_hidden is not None:
                grad_hidden[chunk][is_label] = gradient @ weight
            if grad_weight is not None:
                grad_weight += gradient.T @ states
        # Saved, not kept as attributes: autograd lets go of them as soon as the backward pass is through here.
        ctx.save_for_backward(
            grad_hidden,
            None if grad_weight is None else grad_weight.to(weight.dtype),
            None if grad_bias is None or bias is None else grad_bias.to(bias.dtype),
        )
        return loss * scale

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        parts = (
            # In place: a second gradient of the vocabulary's size would be there for a moment. Going back twice is an
            # error then, of autograd's.
            None if part is None else part.mul_(gradients[0].to(part.dtype))
            for part in ctx.saved_tensors
        )
        return (*parts, None, None, None, None)
