"""Runs the kit.

python -m benchmarks.gpu_kit --out DIR [--budget-sec N] [--steps NAME ...] [--host-gib N] [--data DIR] [--done DIR]
                             [--rehearse]

Without a GPU, `--rehearse` runs every step with tiny shapes on the CPU.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

from benchmarks.gpu_kit.running import Kit, run_steps, take_over
from benchmarks.gpu_kit.steps import BY_NAME, STEPS
from benchmarks.record import say


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_kit", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of records.jsonl and summary.json")
    parser.add_argument("--budget-sec", type=float, default=540.0, help="for everything")
    parser.add_argument("--steps", nargs="+", choices=list(BY_NAME), default=list(BY_NAME), metavar="NAME")
    parser.add_argument("--host-gib", type=float, default=0.0, help="host memory for offloaded checkpoints")
    parser.add_argument("--data", type=Path, help="folder made by benchmarks.gpu_kit.extension_data")
    parser.add_argument("--done", type=Path, help="folder of an earlier call, whose records are taken over")
    parser.add_argument("--rehearse", action="store_true", help="tiny shapes on the CPU")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="lsg", dir="/tmp"))
    kit = Kit(
        arguments.out,
        scratch,
        arguments.budget_sec,
        arguments.host_gib,
        arguments.data,
        arguments.rehearse,
    )
    try:
        if arguments.done:
            take_over(kit, arguments.done)
        run_steps(kit, [step for step in STEPS if step.name in arguments.steps])
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    say(f"written: {kit.out / 'summary.json'}")


if __name__ == "__main__":
    main()
