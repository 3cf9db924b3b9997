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
        *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
        f"--nproc-per-node={num_processes}",
        *("-m", module, *arguments),
    ]
    environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            output, errors = process.communicate(timeout=TIMEOUT_SEC)
        except subprocess.TimeoutExpired:
            # One process that raises leaves the others waiting. Asked to end, torchrun ends them; killed, it could not.
            process.terminate()
            process.communicate()
            raise
    return subprocess.CompletedProcess(command, process.returncode, output, errors)
