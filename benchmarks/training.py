"""Memory and speed of training, side by side with one process and with plain transformers, in one run.

python -m benchmarks.training [--tokens 24576] [--repeats 5] [--limit-gib 1.25] [--out benchmarks/results/training.json]

On two cores: activation memory of a rank under sequence parallelism over its share of one process's, and the time of a
step of two ranks over that of one process with two threads (`benchmarks.training_ranks`), of Ulysses and of the ring,
the worse of which is the figure; the longest sequence that a step takes within a fixed amount of memory over plain
transformers' (`benchmarks.training_longest`). Real shapes on a GPU: `benchmarks.gpu_kit`.
"""

import argparse
import json
import statistics
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.record import ROOT, describe_machine, run_measured, say, scratch_folder, spread, write_result

RESULT = ROOT / "benchmarks" / "results" / "training.json"
RANKS = (1, 2, 4)
TIMEOUT_SEC = 600.0
_ENVIRONMENT = {
    "GLOO_SOCKET_IFNAME": "lo",
    # Large blocks always go back to the system, so that resident memory and the limit on data follow what is held.
    "MALLOC_MMAP_THRESHOLD_": "65536",
}


def run_ranks(what: str, num_ranks: int, num_tokens: int, num_repeats: int, folder: Path) -> dict[str, Any]:
    """What `benchmarks.training_ranks` finds with so many processes."""
    name = f"{what}{num_ranks}"
    result = folder / f"{name}.json"
    arguments = ["--standalone", f"--nproc-per-node={num_ranks}", "-m", "benchmarks.training_ranks", what]
    arguments += [str(result), str(num_tokens), str(num_repeats)]
    run_measured(
        "torch.distributed.run", arguments, folder / f"{name}.log", _ENVIRONMENT, timeout_sec=TIMEOUT_SEC
    )
    found: dict[str, Any] = json.loads(result.read_text("utf-8"))
    return found


def memory_figures(by_ranks: dict[int, dict[str, Any]], which: str = "peak_bytes") -> dict[str, float]:
    """Activation memory of the fullest rank over its share of one process's; the worse of the modes."""
    one = max(by_ranks[1]["ulysses"][which])
    return {
        f"memory_over_ideal_sp{ranks}": max(max(found[which]) for found in modes.values()) * ranks / one
        for ranks, modes in by_ranks.items()
        if ranks > 1 and all(which in found for found in modes.values())
    }


def bytes_per_token(by_ranks: dict[int, dict[str, Any]], num_tokens: int) -> dict[str, dict[str, float]]:
    """How the peak of the fullest rank grows with the sequence, by ranks and mode, and what of it does not grow."""
    found = {}
    for ranks, modes in by_ranks.items():
        for mode, peaks in modes.items():
            whole, quarter = max(peaks["peak_bytes"]), max(peaks["quarter_peak_bytes"])
            slope = (whole - quarter) / (num_tokens - num_tokens // 4)
            found[f"{mode} {ranks}"] = {
                "bytes_per_token": slope,
                "constant_bytes": whole - slope * num_tokens,
            }
    return found


def time_ratios(sec: dict[str, list[float]]) -> dict[str, list[float]]:
    """Time of each repeat over that of one process in the same repeat, by mode."""
    return {
        mode: [own / one for own, one in zip(values, sec["one"], strict=True)]
        for mode, values in sec.items()
        if mode != "one"
    }


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    """Measure everything on the CPU and write the result."""
    from benchmarks import training_longest, training_ranks

    machine = describe_machine()
    memory: dict[int, dict[str, Any]] = {}
    for num_ranks in RANKS:
        say(f"activation memory: {num_ranks} ranks, {arguments.tokens:,} tokens")
        memory[num_ranks] = run_ranks("memory", num_ranks, arguments.tokens, 1, folder)
    say(f"time of a step: {arguments.time_tokens:,} tokens, {arguments.repeats} repeats")
    times = run_ranks("time", 2, arguments.time_tokens, arguments.repeats, folder)
    losses = times["first_losses"].values()
    assert max(losses) - min(losses) <= 1e-4 * max(losses), "the steps do not compute the same"
    ratios = time_ratios(times["sec"])
    limit_bytes = round(arguments.limit_gib * 2**30)
    say(f"longest sequence within {arguments.limit_gib} GiB: each length in a process, its log in {folder}")
    longest_file = folder / "longest.json"
    run_measured(
        "benchmarks.training_longest",
        [str(longest_file), str(limit_bytes)],
        folder / "longest.log",
        _ENVIRONMENT,
        timeout_sec=TIMEOUT_SEC,
    )
    longest = json.loads(longest_file.read_text("utf-8"))
    figures = {
        **memory_figures(memory),
        "step_time_ratio_sp2": max(statistics.median(values) for values in ratios.values()),
        "longest_sequence_ratio": longest["project"]["longest_tokens"] / longest["plain"]["longest_tokens"],
    }
    settings = {
        "memory": {"tokens": arguments.tokens, "shape": asdict(training_ranks.MEMORY_SHAPE)},
        "time": {
            "tokens": arguments.time_tokens,
            "repeats": arguments.repeats,
            "shape": asdict(training_ranks.TIME_SHAPE),
        },
        "longest": {"limit_bytes": limit_bytes, "shape": asdict(training_longest.SHAPE)},
        "dtype": "float32",
        "memory_settings": {
            "ranks": asdict(training_ranks.SETTINGS),
            "longest": asdict(training_longest.SETTINGS),
        },
    }
    measured = {
        "memory": memory,
        "memory_growth": bytes_per_token(memory, arguments.tokens),
        "memory_by_resident": memory_figures(memory, "resident_peak_bytes"),
        "time": times,
        "time_ratios": ratios,
        "longest": longest,
    }
    noise = {
        "what": "distance of the lowest from the highest of the repeats, as a share of their mean; memory has none",
        **{f"sec_{name}": spread(values) for name, values in times["sec"].items()},
        **{f"ratio_{name}": spread(values) for name, values in ratios.items()},
        "longest_sequence": "each length is found to within a tenth",
    }
    write_result(arguments.out or RESULT, machine, figures, settings, measured, noise)
    for name, value in figures.items():
        say(f"{name}: {value:.3f}")
    say(f"written: {arguments.out or RESULT}")


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--tokens", type=int, default=24576, help="sequence whose memory is measured")
    parser.add_argument("--time-tokens", type=int, default=4096, help="sequence whose time is measured")
    parser.add_argument("--repeats", type=int, default=5, help="timed steps of each side")
    parser.add_argument("--limit-gib", type=float, default=1.25, help="memory of the longest sequence")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with scratch_folder("lst") as folder:
        measure(arguments, folder)


if __name__ == "__main__":
    main()
