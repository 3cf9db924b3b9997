"""The method works, in miniature: a short model is made long by this project's trainer, and asked what it retrieves.

python -m benchmarks.extension [--seeds 3] [--base-steps N] [--extension-steps N] [--out FILE]

A Llama of a few million random parameters learns at 128 tokens to find needles (`benchmarks.extension_task`). Then it
goes to 8 times that length in four ways: as it is; with the RoPE base that the paper's rule gives, and no training; by
one stage at the whole length; by stages that double the length and quadruple the base. Both trained ways have the same
tokens, learning rate and schedule. Every stage is a real one: packed data on disk, the trainer's steps, sequences
shared by two processes, checkpoint, export; and what is asked is the export, as plain transformers loads it.
"""

import argparse
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.extension_picture import draw_extension, table
from benchmarks.extension_run import Setup, run_seed
from benchmarks.record import ROOT, describe_machine, say, scratch_folder, write_result

RESULT = ROOT / "benchmarks" / "results" / "extension.json"
RETRIEVES = 0.95
"""Accuracy at its own length without which a base is none: there is nothing that could be extended."""


def figures_of(seeds: list[dict[str, Any]], setup: Setup) -> dict[str, float]:
    """Means over the seeds: of the base at its own length, of every variant at the longest."""
    first, last = setup.lengths[0], setup.lengths[-1]
    longest = f"{setup.factors[-1]}x"
    return {
        "accuracy_base_1x": statistics.mean(seed["accuracy"]["base"][first] for seed in seeds),
        **{
            f"accuracy_{variant}_{longest}": statistics.mean(
                seed["accuracy"][variant][last] for seed in seeds
            )
            for variant in seeds[0]["accuracy"]
        },
    }


def noise_of(seeds: list[dict[str, Any]], setup: Setup) -> dict[str, Any]:
    """How far the seeds lie apart at the longest length; a single one says nothing."""
    if len(seeds) < 2:
        return {"what": "not known: one seed"}
    found: dict[str, Any] = {"what": "lowest and highest accuracy of the seeds at the longest length"}
    for variant in seeds[0]["accuracy"]:
        values = [seed["accuracy"][variant][setup.lengths[-1]] for seed in seeds]
        found[variant] = [min(values), max(values)]
    return found


def verdict(seeds: list[dict[str, Any]], setup: Setup) -> str:
    """Which of the two trained ways retrieves better at the longest length, in every seed or in none."""
    last = setup.lengths[-1]
    gains = [seed["accuracy"]["progressive"][last] - seed["accuracy"]["one_step"][last] for seed in seeds]
    told = ", ".join(f"{100 * gain:+.1f}" for gain in gains)
    # Half a point is a handful of answers.
    if all(gain > 0.005 for gain in gains):
        return f"progressive stages beat one step here (points by seed: {told})"
    if all(gain < -0.005 for gain in gains):
        return f"one step beats progressive stages here (points of progressive by seed: {told})"
    return f"progressive stages are no better than one step here (points by seed: {told})"


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    """Run all seeds, write the result and draw the picture."""
    machine = describe_machine()
    default = Setup()
    setup = replace(
        default,
        base_steps=arguments.base_steps or default.base_steps,
        extension_steps=arguments.extension_steps or default.extension_steps,
        sequence_parallel_size=arguments.sequence_parallel_size or default.sequence_parallel_size,
    )
    seeds = [run_seed(setup, seed, folder / f"seed{seed}") for seed in range(1, arguments.seeds + 1)]
    shown = {
        variant: {
            length: statistics.mean(seed["accuracy"][variant][length] for seed in seeds)
            for length in setup.lengths
        }
        for variant in seeds[0]["accuracy"]
    }
    depths = {
        variant: [
            statistics.mean(parts)
            for parts in zip(*(seed["accuracy_by_depth"][variant] for seed in seeds), strict=True)
        ]
        for variant in shown
    }
    settings = {
        **seeds[0]["setup"],
        "num_parameters": seeds[0]["num_parameters"],
        "base_training_tokens": setup.base_steps * setup.base_batch_tokens,
        "extension_training_tokens": setup.extension_tokens,
        "seeds": [seed["seed"] for seed in seeds],
    }
    measured: dict[str, Any] = {
        "accuracy": shown,
        "accuracy_by_depth": depths,
        "accuracy_of_guessing": setup.task.guess_accuracy,
        "verdict": verdict(seeds, setup),
        "seeds": [{name: value for name, value in seed.items() if name != "setup"} for seed in seeds],
    }
    write_result(arguments.out, machine, figures_of(seeds, setup), settings, measured, noise_of(seeds, setup))
    picture = arguments.out.with_suffix(".png")
    draw_extension(shown, depths, setup.task.guess_accuracy, picture)
    say(
        f"{settings['num_parameters']:,} parameters, {len(seeds)} seeds; base: "
        f"{settings['base_training_tokens']:,} tokens, each extension: {settings['extension_training_tokens']:,}"
    )
    print(table(shown), flush=True)
    say(measured["verdict"])
    say(f"written: {arguments.out}, {picture}")
    weak = [seed["seed"] for seed in seeds if seed["accuracy"]["base"][setup.base_tokens] < RETRIEVES]
    if weak:
        raise RuntimeError(
            f"the base of seeds {weak} does not retrieve at its own length; raise --base-steps"
        )


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.extension", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="models, each from other weights and documents")
    parser.add_argument("--base-steps", type=int, help="optimizer steps of the base")
    parser.add_argument("--extension-steps", type=int, help="of one step, and of all progressive stages")
    parser.add_argument("--sequence-parallel-size", type=int, help="processes that share a sequence")
    parser.add_argument("--out", type=Path, default=RESULT, help="JSON file; the picture lies beside it")
    arguments = parser.parse_args()
    with scratch_folder("lsx") as folder:
        measure(arguments, folder)


if __name__ == "__main__":
    main()
