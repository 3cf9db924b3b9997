"""Exchange between ranks that share one GPU: through the host, as NCCL takes one rank a GPU.

What this project calls is replaced, and nothing of its own code.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class _Staged:
    """A transfer under way, and where what arrives belongs."""

    work: Any
    arrived: Tensor | None = None
    target: Tensor | None = None

    def wait(self) -> None:
        self.work.wait()
        if self.target is not None:
            self.target.view(torch.uint8).copy_(self.arrived)


@contextmanager
def staged_exchange() -> Iterator[None]:
    """Inside the block, all-to-all and the ring's sends and receives go through the host."""
    with (
        patch.object(dist, "all_to_all_single", _all_to_all),
        patch.object(dist, "batch_isend_irecv", _send_and_receive),
    ):
        yield


_all_to_all_on_host = dist.all_to_all_single


def _all_to_all(received: Tensor, sent: Tensor, group: dist.ProcessGroup) -> None:
    arrived = _on_host(received)
    _all_to_all_on_host(arrived, _on_host(sent), group=group)
    received.view(torch.uint8).copy_(arrived)


def _send_and_receive(operations: Sequence[dist.P2POp]) -> list[_Staged]:
    works = []
    for operation in operations:
        staged = _on_host(operation.tensor)
        work = operation.op(staged, operation.peer, operation.group)
        is_receiving = operation.op is dist.irecv
        works.append(_Staged(work, staged, operation.tensor) if is_receiving else _Staged(work, staged))
    return works


def _on_host(states: Tensor) -> Tensor:
    """Its bytes: gloo does not know every type."""
    return states.view(torch.uint8).cpu().clone()
