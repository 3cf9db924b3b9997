"""How much memory a piece of work takes at its peak, to the byte: every allocation of torch's CPU allocator, replayed.

A process's resident memory is no measure of that: freed memory stays resident, libraries and the interpreter are in
it, and what is not touched yet is not. A tracker of live tensors would miss what kernels allocate inside. torch's
profiler records each allocation and each release of the allocator itself; their running sum is the memory that the
work holds above what was there before. Not in it: buffers that gloo and the interpreter take for themselves.
"""

import ctypes
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MOST_OWNERS = 12
_CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Allocation:
    """A block that was taken or given back."""

    time_ns: int
    address: int
    num_bytes: int
    """Negative: given back."""
    owner: str
    """The operation in which that happened."""


@dataclass
class AllocationPeak:
    """What `record_allocations` found, once its block is left."""

    peak_bytes: int = 0
    """Most that was held at once of what was taken since the beginning."""
    left_bytes: int = 0
    """Of that still held at the end."""
    owners: dict[str, int] = field(default_factory=dict)
    """Operations that had taken most of what was held at the peak, and their bytes."""


@contextmanager
def record_allocations() -> Iterator[AllocationPeak]:
    """Measure what the block takes of the CPU's memory through torch, in this thread and in autograd's."""
    from torch.profiler import ProfilerActivity, profile

    found = AllocationPeak()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        yield found
    roots = profiler.profiler.kineto_results.experimental_event_tree()
    found.peak_bytes, found.left_bytes, found.owners = replay(_allocations(roots))


def replay(allocations: Iterable[Allocation]) -> tuple[int, int, dict[str, int]]:
    """Peak and end of the running sum of what was taken and given back, and who held what at the peak."""
    ordered = sorted(allocations, key=lambda allocation: allocation.time_ns)
    held = peak = 0
    num_until_peak = 0
    for number, allocation in enumerate(ordered, 1):
        held += allocation.num_bytes
        if held > peak:
            peak, num_until_peak = held, number
    blocks: dict[int, Allocation] = {}
    for allocation in ordered[:num_until_peak]:
        if allocation.num_bytes > 0:
            blocks[allocation.address] = allocation
        else:
            blocks.pop(allocation.address, None)
    owners: Counter[str] = Counter()
    for block in blocks.values():
        owners[block.owner] += block.num_bytes
    return peak, held, dict(owners.most_common(MOST_OWNERS))


def _allocations(roots: Iterable[Any]) -> Iterator[Allocation]:
    from torch._C._profiler import _EventType

    waiting = [(event, "") for event in roots]
    while waiting:
        event, path = waiting.pop()
        if event.tag == _EventType.Allocation:
            what = event.extra_fields
            if what.device.type == "cpu":
                yield Allocation(event.start_time_ns, what.ptr, what.alloc_size, path)
            continue
        inner = _path(path, event.name)
        waiting += [(child, inner) for child in event.children]


def _path(outer: str, name: str) -> str:
    """The outermost operations say where in the step it is, the innermost what it is."""
    names = [*outer.split(" > "), name] if outer else [name]
    return " > ".join(names if len(names) <= 3 else [*names[:2], names[-1]])


def reset_resident_peak() -> int:
    """Forget the most that was resident so far; gives what is resident now, in bytes, without what is free in it."""
    ctypes.CDLL(None).malloc_trim(0)
    _CLEAR_REFS.write_text("5")
    return _status_bytes("VmRSS")


def resident_peak_bytes() -> int:
    """Most that was resident since `reset_resident_peak`."""
    return _status_bytes("VmHWM")


def data_bytes() -> int:
    """Private memory that this process may write: what the system's limit on data is about."""
    return _status_bytes("VmData")


def anonymous_bytes() -> int:
    """Resident memory that no file backs: what other processes cannot share."""
    return _status_bytes("RssAnon")


def _status_bytes(name: str) -> int:
    return int(_STATUS.read_text("utf-8").partition(f"{name}:")[2].split()[0]) * 1024
