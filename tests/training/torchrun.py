"""Several processes on this machine, as a cluster would start them."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TIMEOUT_SEC = 240


def torchrun(num_processes: int, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a module and wait for it, whatever becomes of it."""
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc-per-node={num_processes}",
    ]
    # One process that raises leaves the others waiting: the timeout ends them all.
    return subprocess.run(
        [*command, "-m", module, *arguments],
        cwd=ROOT,
        env=os.environ | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SEC,
        check=False,
    )
