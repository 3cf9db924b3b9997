"""The process of one step.

python -m benchmarks.gpu_kit.worker STEP FILE STOP_AT SCRATCH [--host-gib N] [--data DIR] [--rehearse]
"""

import argparse
import importlib
import traceback
from pathlib import Path

import torch

from benchmarks.gpu_kit.box import Box, first_line
from benchmarks.gpu_kit.records import read_records
from benchmarks.gpu_kit.steps import BY_NAME


def main() -> None:
    """Measure one step."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_kit.worker")
    parser.add_argument("step", choices=list(BY_NAME))
    parser.add_argument("file", type=Path)
    parser.add_argument("stop_at", type=float, help="on the monotonic clock")
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--host-gib", type=float, default=0.0)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--rehearse", action="store_true")
    arguments = parser.parse_args()
    step = arguments.step
    done = {
        record.key: record.status
        for record in read_records(arguments.file)
        if record.step == step and record.is_final
    }
    box = Box(
        step=step,
        file=arguments.file,
        device=torch.device("cpu") if arguments.rehearse else torch.device("cuda", 0),
        stop_at=arguments.stop_at,
        host_bytes=arguments.host_gib * 2**30,
        scratch=arguments.scratch,
        data=arguments.data,
        done=done,
        is_rehearsal=arguments.rehearse,
    )
    try:
        importlib.import_module(f"benchmarks.gpu_kit.{step}").measure(box)
    except Exception as error:
        traceback.print_exc()
        box.write("whole step", {"reason": f"{type(error).__name__}: {first_line(error)}"}, "failed")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
