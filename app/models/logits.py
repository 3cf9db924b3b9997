"""What a model does to the product of hidden states and output weight before it calls it logits.

Most do nothing. Granite divides by a number, Cohere multiplies by one, Gemma bends all below a cap, Phi-1 adds a bias.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

MULTIPLYING_TYPES = ("hyperclovax",)
"""Types of models whose `logits_scaling` is a factor; all others divide by it."""


@dataclass(frozen=True)
class LogitRule:
    """`cap * tanh(scale * product / cap)`, without a cap `scale * product`."""

    scale: float = 1.0
    cap: float | None = None

    def apply_(self, product: Tensor) -> Tensor:
        """Logits in the place of hidden states times output weight."""
        if self.scale != 1.0:
            product.mul_(self.scale)
        if self.cap is not None:
            product.div_(self.cap).tanh_().mul_(self.cap)
        return product

    def slope(self, logits: Tensor) -> Tensor | float:
        """How much `logits` change with the product that they came from."""
        if self.cap is None:
            return self.scale
        return (logits / self.cap).square_().neg_().add_(1.0).mul_(self.scale)


@dataclass(frozen=True)
class OutputLayer:
    """Turns hidden states into logits."""

    weight: Tensor
    """`[vocabulary, hidden_size]`."""
    bias: Tensor | None = None
    """`[vocabulary]`."""
    rule: LogitRule = LogitRule()

    def logits(self, hidden: Tensor) -> Tensor:
        """`[tokens, hidden_size]` → float32 `[tokens, vocabulary]`."""
        product = hidden @ self.weight.T
        return self.rule.apply_((product if self.bias is None else product + self.bias).float())


def logit_rule_of(config: Any) -> LogitRule:
    """From a configuration of transformers; whether it is all that the model does, the probe of `architecture` shows.

    Args:
        config: Of the text model.
    """
    scale = float(getattr(config, "logit_scale", None) or 1.0)
    if scaling := getattr(config, "logits_scaling", None):
        scale *= float(scaling) if config.model_type in MULTIPLYING_TYPES else 1.0 / float(scaling)
    cap = getattr(config, "final_logit_softcapping", None)
    return LogitRule(scale, float(cap) if cap else None)


def output_layer_of(decoder: Any) -> OutputLayer:
    """Of a transformers model for causal language modelling."""
    output = decoder.get_output_embeddings()
    return OutputLayer(
        output.weight, getattr(output, "bias", None), logit_rule_of(decoder.config.get_text_config())
    )
