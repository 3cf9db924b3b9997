"""How the packing of a stage's sequences grows, in the one process that plans it."""

from collections.abc import Sequence

import numpy as np

from app.config import StageConfig
from app.training.data.packing import plan_stage
from app.training.data.supplies import SourceLengths
from benchmarks.allocations import reset_resident_peak, resident_peak_bytes
from benchmarks.scale_slopes import Slopes, SlopeSet, cpu_sec

SEQ_TOKENS = 262_144
MIX = {"long_input": 0.55, "long_output": 0.01, "short": 0.22, "pretraining": 0.22}
EXAMPLE_TOKENS = {"long_input": 67_000, "long_output": 8_000, "short": 700, "pretraining": 65_536}
"""Means; lengths are drawn evenly between half and one and a half of it."""
SPARE = 1.2
"""Tokens of a source, as a multiple of what the stage takes of it."""


def measure_packing(sizes: Sequence[int]) -> Slopes:
    """Plans of stages of so many tokens, with the mix of the 1M recipe."""
    found = SlopeSet("tokens")
    for size in sizes:
        stage = StageConfig(
            name="stage",
            max_seq_tokens=SEQ_TOKENS,
            mix=MIX,
            num_tokens=size,
            batch_tokens=SEQ_TOKENS,
            learning_rate=1e-5,
        )
        sources = {name: _lengths(name, size) for name in MIX}
        before = reset_resident_peak()
        found.add("packing", "sec", size, cpu_sec(plan_stage, stage, sources, 0, "mix"))
        found.add("packing_memory", "bytes", size, resident_peak_bytes() - before)
    return found.slopes()


def _lengths(name: str, num_tokens: int) -> SourceLengths:
    mean = EXAMPLE_TOKENS[name]
    count = int(SPARE * MIX[name] * num_tokens / mean) + 4
    lengths = np.random.default_rng(len(name)).integers(mean // 2, mean + mean // 2, count)
    return SourceLengths(
        num_tokens=lengths,
        num_targets=lengths // 2,
        is_text=np.full(count, name == "pretraining"),
        begins_with_separator=np.zeros(count, dtype=bool),
    )
