"""Counts what a training step computes: how often its attention and its MLPs, and how much less with a window.

python -m benchmarks.training_counts [--out benchmarks/results/training_counts.json]

Nothing is timed. Torch tells which kernels it is asked for, hooks tell which tokens an MLP takes in. The cost of a
window is counted without numbers, by the shapes of tensors alone: operations of a whole step but for the output layer,
of the model whose steps `benchmarks.training` times.
"""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from app.training.memory.activations import save_activation_memory
from app.training.model import LanguageModel, build_decoder
from app.training.parallel.attention import PackedSequence
from benchmarks.record import ROOT, describe_machine, say, write_result
from benchmarks.step_counts import AttentionCalls, count_mlp_tokens
from benchmarks.training_ranks import TIME_SHAPE
from benchmarks.training_steps import MemorySettings, ProjectStep, RandomSequences, Shape

RESULT = ROOT / "benchmarks" / "results" / "training_counts.json"
SHAPE = Shape(
    hidden_size=64,
    num_layers=2,
    num_heads=4,
    num_kv_heads=2,
    head_dim=16,
    intermediate_size=224,
    vocab_size=256,
)
NUM_TOKENS = 1024
SETTINGS = MemorySettings(mlp_tile_tokens=NUM_TOKENS // 8, loss_chunk_tokens=256)
LONG_TOKENS, WINDOW_TOKENS = 32_768, 1024
_CPU = torch.device("cpu")


def count_step() -> dict[str, float]:
    """Forward passes of attention for each backward pass, and of each token through an MLP."""
    step = ProjectStep(SHAPE, SETTINGS, _CPU, torch.float32, with_optimizer=False)
    with AttentionCalls() as calls, count_mlp_tokens(step.model.layers) as tokens:
        step.forward_backward(RandomSequences(NUM_TOKENS, SHAPE.vocab_size))
    return {
        "attention_forwards_per_layer": calls.num_forward / calls.num_backward,
        "mlp_forwards_per_layer": sum(tokens) / NUM_TOKENS / SHAPE.num_layers,
    }


def step_flops(window_tokens: int | None) -> float:
    """Operations of a step over one document, forward and backward, with what is computed again."""
    from transformers import AutoConfig

    sizes = asdict(TIME_SHAPE)
    config = AutoConfig.for_model(
        "mistral",
        hidden_size=sizes["hidden_size"],
        num_hidden_layers=sizes["num_layers"],
        num_attention_heads=sizes["num_heads"],
        num_key_value_heads=sizes["num_kv_heads"],
        head_dim=sizes["head_dim"],
        intermediate_size=sizes["intermediate_size"],
        vocab_size=sizes["vocab_size"],
        max_position_embeddings=LONG_TOKENS,
        sliding_window=window_tokens,
        pad_token_id=None,
    )
    # Under fake tensors nothing is computed and nothing is allocated.
    with FakeTensorMode():
        model = LanguageModel(build_decoder(config), LONG_TOKENS)
        save_activation_memory(model.layers, checkpoint_layers=True, offload=False, mlp_tile_tokens=4096)
        tokens = torch.zeros(LONG_TOKENS, dtype=torch.long)
        with FlopCounterMode(display=False) as products, AttentionCalls() as attention:
            model.hidden_states(tokens, tokens, PackedSequence((0, LONG_TOKENS))).sum().backward()
    return products.get_total_flops() + attention.flops


def main() -> None:
    """Count everything and write the result."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_counts", description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    machine = describe_machine()
    flops = {"window": step_flops(WINDOW_TOKENS), "whole": step_flops(None)}
    figures: dict[str, float] = {
        **count_step(),
        "window_cost_ratio": flops["window"] / flops["whole"],
    }
    settings: dict[str, Any] = {
        "step": {"tokens": NUM_TOKENS, "shape": asdict(SHAPE), "memory": asdict(SETTINGS)},
        "window": {"tokens": LONG_TOKENS, "window_tokens": WINDOW_TOKENS, "shape": asdict(TIME_SHAPE)},
    }
    write_result(
        arguments.out, machine, figures, settings, {"step_flops": flops}, {"what": "counts have none"}
    )
    for name, value in figures.items():
        say(f"{name}: {value:.3f}")
    say(f"written: {arguments.out}")


if __name__ == "__main__":
    main()
