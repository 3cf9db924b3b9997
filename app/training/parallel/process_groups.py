"""The groups of processes: which take part, which share a sequence, and which hold which shards."""

from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh

from app.faults import UserError
from app.training.parallel.attention import SequenceParallel
from app.training.parallel.layout import SequenceLayout

PATIENCE = timedelta(hours=6)
"""How long the others wait while files of hundreds of gigabytes go to far storage."""


@dataclass(frozen=True)
class Workers:
    """This process among those that train."""

    mesh: DeviceMesh
    """All processes in one dimension: they share parameters, gradients and optimizer state."""
    host_group: dist.ProcessGroup
    """All processes over gloo, for objects and for long waits."""
    storage_group: dist.ProcessGroup
    """All processes over a second gloo group, for what another thread writes while training continues."""
    parallel: SequenceParallel
    """The processes that share a sequence with this one."""
    data_rank: int
    """Which sequence of a batch belongs to this group."""
    data_size: int
    """How many sequences are processed at once."""
    device: torch.device
    """Device of this process."""

    @property
    def size(self) -> int:
        return self.mesh.size()

    @property
    def is_leader(self) -> bool:
        """Whether this process writes what is written only once."""
        return self.mesh.get_local_rank() == 0

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Sum over all processes that train, in place."""
        dist.all_reduce(values, group=self.mesh.get_group())
        return values

    def maximum(self, value: float) -> float:
        """Largest value of any process."""
        values = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.all_reduce(values, op=dist.ReduceOp.MAX, group=self.mesh.get_group())
        return values.item()


def join_workers(layout: SequenceLayout, device: torch.device) -> Workers | None:
    """Form the groups from all processes. Every process must call this.

    With a number of processes that is no multiple of the ranks that share a sequence, as elastic workers may come in,
    the last ones have nothing to do.

    Returns:
        This process's place in the groups, or None if it is not needed.

    Raises:
        UserError: There are fewer processes than share a sequence.
    """
    num_processes = dist.get_world_size()
    data_size = num_processes // layout.size
    if not data_size:
        raise UserError(
            f"sequence_parallel_size: {layout.size} is more than the {num_processes} workers; at most "
            f"{num_processes}"
        )
    ranks = torch.arange(data_size * layout.size)
    mesh = DeviceMesh(device.type, ranks, mesh_dim_names=("all",))
    shape = (data_size, layout.ring_size, layout.ulysses_size)
    places = DeviceMesh(device.type, ranks.view(shape), mesh_dim_names=("data", "ring", "ulysses"))
    host_group, storage_group = (
        dist.new_group(ranks.tolist(), timeout=PATIENCE, backend="gloo") for _ in range(2)
    )
    if dist.get_rank() >= len(ranks):
        return None
    parallel = SequenceParallel.of(places, layout)
    data_rank = places.get_local_rank("data")
    return Workers(mesh, host_group, storage_group, parallel, data_rank, data_size, device)
