"""Memory of a machine, and memory and peak rates of its GPUs."""

import os
import re
from pathlib import Path

_A100 = 312e12


_H100_SXM, _H100_PCIE, _H100_NVL = 989e12, 756e12, 835e12


_H200_NVL = 836e12


_B200, _GB200 = 2250e12, 2500e12


_L40S = 362e12


PEAK_FLOPS: tuple[tuple[frozenset[str], float], ...] = (
    (frozenset({"H100", "PCIE"}), _H100_PCIE),
    (frozenset({"H100", "NVL"}), _H100_NVL),
    (frozenset({"H100"}), _H100_SXM),
    (frozenset({"H200", "NVL"}), _H200_NVL),
    # The same chip as the H100's, with another memory or beside a CPU.
    (frozenset({"H200"}), _H100_SXM),
    (frozenset({"GH200"}), _H100_SXM),
    (frozenset({"A100"}), _A100),
    (frozenset({"B200"}), _B200),
    (frozenset({"GB200"}), _GB200),
    (frozenset({"L40S"}), _L40S),
)
"""Words of a device's name → its dense bfloat16 operations a second, the first that fits.

From NVIDIA's data sheets (nvidia.com/en-us/data-center/a100, h100, h200, grace-hopper-superchip, dgx-b200, gb200-nvl72,
l40s), halved where they give the figure with sparsity.
"""


def peak_flops_of(device_name: str) -> float | None:
    """Peak dense bfloat16 FLOPs per second of a device, by its `torch.cuda.get_device_name`; None if unknown."""
    words = set(re.findall(r"[A-Z0-9]+", device_name.upper()))
    if "MIG" in words:
        # A part of the device, of a size that is not worth guessing.
        return None
    return next((peak for needed, peak in PEAK_FLOPS if needed <= words), None)


CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
"""File with the memory limit of the container that this process runs in, if any."""


def gpu_memory_bytes() -> list[int]:
    """Memory of each of this machine's GPUs."""
    import torch

    return [
        torch.cuda.get_device_properties(index).total_memory for index in range(torch.cuda.device_count())
    ]


def host_memory_bytes() -> int:
    """Memory of this machine, or the container's limit if that is lower."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = CGROUP_LIMIT.read_text().strip()
    except OSError:
        return memory
    return min(memory, int(limit)) if limit.isdigit() else memory
