"""Reads a text and the questions about it with one forward pass: the loss by position, and which needles are found."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from app.models.logits import OutputLayer, output_layer_of
from app.probing.attention import ATTENTION, Branches, register_attention
from app.probing.questions import Haystack

MAX_LOSS_POSITIONS = 4096
"""Positions of a text whose loss is computed, evenly spaced: the output layer would cost as much as some layers."""
CHUNK_TOKENS = 256
"""Positions whose logits are held at once."""


@dataclass(frozen=True)
class Reading:
    """What a model made of one haystack."""

    positions: npt.NDArray[np.int64]
    """`[read]`, ascending: the positions of the text whose loss was computed."""
    losses: npt.NDArray[np.float64]
    """`[read]`: cross entropy of the token after each."""
    found: list[bool]
    """For each question, whether the model would write the whole answer, token by token the likeliest."""
    answer_losses: list[float]
    """For each question, the mean cross entropy of the answer's tokens."""


def load_decoder(
    folder: str, config: Any, dtype: torch.dtype, device: torch.device, revision: str | None = None
) -> Any:
    """A transformers model for reading, with a configuration that may have another RoPE than its own.

    Args:
        folder: Model folder or hub name.
        config: transformers' configuration.
        dtype: Of weights and computation.
        device: Where it reads.
        revision: On the hub.
    """
    from transformers import AutoModelForCausalLM

    register_attention()
    decoder = AutoModelForCausalLM.from_pretrained(
        folder,
        revision=revision,
        config=config,
        dtype=dtype,
        attn_implementation=ATTENTION,
        trust_remote_code=False,
    )
    return decoder.to(device).eval()


@torch.no_grad()
def read(decoder: Any, haystack: Haystack) -> Reading:
    """Read a haystack and ask all of its questions, at the cost of one pass over it.

    Args:
        decoder: From `load_decoder`.
        haystack: Text and questions.
    """
    device = decoder.device
    branches = Branches(haystack.boundaries)
    ids = torch.from_numpy(haystack.token_ids.astype(np.int64)).to(device)
    hidden: Tensor = decoder.base_model(
        input_ids=ids.unsqueeze(0),
        position_ids=branches.position_ids().unsqueeze(0).to(device),
        attention_mask=None,
        use_cache=False,
        branches=branches,
    ).last_hidden_state[0]
    output = output_layer_of(decoder)
    positions = loss_positions(branches.text_tokens)
    losses, _ = _score(hidden, output, ids, positions)
    found, answer_losses = [], []
    for start, stop in haystack.answers:
        answer, is_likeliest = _score(hidden, output, ids, np.arange(start - 1, stop - 1))
        found.append(bool(is_likeliest.all()))
        answer_losses.append(float(answer.mean()))
    return Reading(positions, losses, found, answer_losses)


def loss_positions(num_tokens: int) -> npt.NDArray[np.int64]:
    """Evenly spaced positions of a text, each of which has a token behind it."""
    num_positions = min(num_tokens - 1, MAX_LOSS_POSITIONS)
    return np.unique(np.linspace(0, num_tokens - 2, num_positions).round().astype(np.int64))


def _score(
    hidden: Tensor, output: OutputLayer, ids: Tensor, positions: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Cross entropy of the tokens after these positions, and whether each is the likeliest one."""
    losses, likeliest = [], []
    for chunk in torch.from_numpy(positions).to(hidden.device).split(CHUNK_TOKENS):
        logits = output.logits(hidden[chunk])
        targets = ids[chunk + 1]
        losses.append(cross_entropy(logits, targets, reduction="none"))
        likeliest.append(logits.argmax(dim=1) == targets)
    return torch.cat(losses).double().cpu().numpy(), torch.cat(likeliest).cpu().numpy()
