"""Computes the same logits twice: with the trained, sharded model and its own attention, and with plain
transformers.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributed.fsdp import FSDPModule

from app.training.batches import load_shard
from app.training.model import LanguageModel
from app.training.parallel.process_groups import Workers

PROBE_TOKENS = 128


@dataclass(frozen=True)
class Probe:
    """One short document of random tokens (`batches.Sequences`).

    At positions far apart, real models in bfloat16 miss their own float32 logits by half.
    """

    tokens: np.ndarray
    """Token ids, `[tokens]`."""

    @staticmethod
    def of(vocab_size: int) -> "Probe":
        return Probe(np.random.default_rng(0).integers(0, vocab_size, PROBE_TOKENS))

    @property
    def num_sequences(self) -> int:
        return 1

    @property
    def seq_tokens(self) -> int:
        return len(self.tokens)

    def starts(self, index: int) -> np.ndarray:
        return np.zeros(1, np.int64)

    def num_targets(self, index: int) -> int:
        return 0

    def read(self, index: int, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        return self.tokens[start:stop], np.zeros(stop - start, bool)


@torch.no_grad()
def logits_of_trained(model: LanguageModel, workers: Workers, probe: Probe) -> Tensor:
    """Logits `[tokens, vocabulary]` in float32, put together from the ranks that share the sequence; all call this."""
    shard = load_shard(probe, 0, workers.parallel)
    was_training = model.training
    model.eval()
    own = model(
        shard.input_ids.to(workers.device),
        shard.position_ids.to(workers.device),
        None,
        shard.packed,
    )
    model.train(was_training)
    # No backward pass follows, which would let go of the weights that were gathered; a later step would find them
    # as they are now.
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()
    padded = shard.packed.padded_tokens
    whole = torch.zeros(padded, own.shape[1], dtype=torch.float32, device=workers.device)
    # All groups computed the same: one speaks.
    if workers.data_rank == 0:
        spans = workers.parallel.layout.spans(workers.parallel.rank, padded)
        whole[torch.cat([torch.arange(start, stop) for start, stop in spans])] = own.float()
    return workers.sum(whole)[: probe.seq_tokens].cpu()


def difference_of_logits(found: Tensor, expected: Tensor) -> float:
    """90th percentile over positions of the error of the logits `[tokens, vocabulary]`, as a share of their norm.

    Rounding alone turns single positions of a real model upside down: transformers' own logits in bfloat16 miss their
    float32 ones by 0.007 at most positions and by more than their norm at one of a hundred. What is computed wrongly is
    wrong for the share of a rank at least, and for all that looks back at it.
    """
    relative = (found - expected).norm(dim=1) / expected.norm(dim=1)
    return float(relative.quantile(0.9))


@torch.no_grad()
def logits_of_transformers(decoder: Any, probe: Probe) -> Tensor:
    """Logits `[tokens, vocabulary]` by a model as transformers loads it, computed in float32."""
    tokens = torch.from_numpy(probe.tokens).unsqueeze(0)
    logits: Tensor = decoder.float().eval()(input_ids=tokens, use_cache=False).logits[0]
    return logits
