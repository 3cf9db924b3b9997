"""What the machine is: versions, the kernels' signatures, and the rates that all others are held against."""

import platform
from collections.abc import Mapping
from typing import Any

import torch
import transformers

from benchmarks.gpu_kit.box import Box, seconds_of

MATRIX_SIZE = 8192
COPY_BYTES = 4 << 30
HOST_BYTES = 2 << 30
KERNELS = (
    "_flash_attention_forward",
    "_flash_attention_backward",
    "_scaled_dot_product_cudnn_attention",
    "_scaled_dot_product_cudnn_attention_backward",
)


def measure(box: Box) -> None:
    """See the module."""
    box.measure("versions", lambda: _versions(box.device))
    box.measure("signatures", lambda: {name: _signature(name) for name in KERNELS})
    box.measure("matrix product", lambda: _matrix_product(box))
    box.measure("copies", lambda: _copies(box))


def _versions(device: torch.device) -> Mapping[str, Any]:
    found: dict[str, Any] = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    if device.type != "cuda":
        return found | {"device": "cpu"}
    properties = torch.cuda.get_device_properties(device)
    return found | {
        "device": properties.name,
        "memory_bytes": properties.total_memory,
        "num_multiprocessors": properties.multi_processor_count,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
    }


def _signature(name: str) -> str:
    operation = getattr(torch.ops.aten, name, None)
    return "not there" if operation is None else str(operation.default._schema)


def _matrix_product(box: Box) -> Mapping[str, Any]:
    size = 256 if box.is_rehearsal else MATRIX_SIZE
    one, other = (torch.randn(size, size, device=box.device, dtype=torch.bfloat16) for _ in range(2))
    seconds = seconds_of(box.device, lambda: one @ other, num_repeats=10)
    return {"size": size, "tflops": 2 * size**3 / min(seconds) / 1e12, "repeats_sec": seconds}


def _copies(box: Box) -> Mapping[str, Any]:
    """Bytes a second: on the device counting reads and writes, and between host and device."""
    size, host_size = (1 << 20, 1 << 20) if box.is_rehearsal else (COPY_BYTES, HOST_BYTES)
    is_cuda = box.device.type == "cuda"
    source = torch.empty(size, dtype=torch.uint8, device=box.device)
    target = torch.empty_like(source)
    on_host = torch.empty(host_size, dtype=torch.uint8, pin_memory=is_cuda)
    part = target[:host_size]
    work = {
        "device_bytes_per_sec": (2 * size, lambda: target.copy_(source)),
        "to_device_bytes_per_sec": (host_size, lambda: part.copy_(on_host, non_blocking=True)),
        "to_host_bytes_per_sec": (host_size, lambda: on_host.copy_(part, non_blocking=True)),
    }
    return {name: num_bytes / min(seconds_of(box.device, each)) for name, (num_bytes, each) in work.items()}
