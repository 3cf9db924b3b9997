"""Attention sinks: a learned score for each head that takes a share of the softmax and gives no value (gpt-oss).

A sink is one more key whose value is zero. So the kernels need not know of it: its share is taken off their output
afterwards, by the log-sum-exp, and the log-sum-exp with the sink in it is what their backward passes are given.
"""

import torch
from torch import Tensor


def with_sink(output: Tensor, log_sum_exp: Tensor, sink: Tensor) -> tuple[Tensor, Tensor]:
    """Output and log-sum-exp with a sink in the softmax.

    Args:
        output: `[tokens, query_heads, head_dim]`.
        log_sum_exp: Over all keys, `[query_heads, tokens]`.
        sink: `[query_heads]`.
    """
    total = torch.logaddexp(log_sum_exp, sink.float().unsqueeze(1))
    share = torch.exp(log_sum_exp - total).transpose(0, 1).unsqueeze(-1)
    return (output * share).to(output.dtype), total


def gradient_of_sink(grad_output: Tensor, output: Tensor, log_sum_exp: Tensor, sink: Tensor) -> Tensor:
    """Gradient `[query_heads]`.

    Args:
        grad_output: Of the output, `[tokens, query_heads, head_dim]`.
        output: With the sink.
        log_sum_exp: With the sink, `[query_heads, tokens]`.
        sink: `[query_heads]`.
    """
    products = (grad_output.float() * output.float()).sum(dim=-1).transpose(0, 1)
    probabilities = torch.exp(sink.float().unsqueeze(1) - log_sum_exp)
    return -(probabilities * products).sum(dim=1).to(sink.dtype)
