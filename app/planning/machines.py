"""The machines that a step runs on: the type of node, the number of devices, and the price per hour."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.config import NodeConfig, NodesConfig, PlanConfig
from app.faults import UserError, one_line
from app.quantities import GIB

NODE_TYPES = tuple(NodesConfig.model_fields)
"""Fields of `plan.nodes`, and names in `cluster.yaml`."""


@dataclass(frozen=True)
class Device:
    """One GPU, or the CPU cores of one worker."""

    peak_flops: float
    """Peak of dense FLOPs per second."""
    bytes_per_sec: float
    """Memory bandwidth of the device."""
    memory_bytes: float
    is_gpu: bool


@dataclass(frozen=True)
class NodeType:
    """A node type as a cluster file describes it."""

    most_nodes: int
    resources: dict[str, int]
    """What a node declares, by the setting of `plan.nodes` that it overrides."""


@dataclass(frozen=True)
class Machines:
    """The devices that work on a step at the same time."""

    node_type: str
    """Name in `cluster.yaml`."""
    device: Device
    num_devices: int
    num_nodes: int
    node: NodeConfig

    def money(self, seconds: float) -> float | None:
        """Price of these nodes for that long; None where the settings give none."""
        price = self.node.price_per_hour
        return None if price is None else price * self.num_nodes * seconds / 3600

    def device_hours(self, seconds: float) -> float:
        return self.num_devices * seconds / 3600

    def describe(self) -> str:
        """`32 GPUs`, `4 CPUs`."""
        what = "GPU" if self.device.is_gpu else "worker"
        return f"{self.num_devices} {what}{'s' if self.num_devices > 1 else ''}"


class Cluster:
    """The machines that exist, by the settings and, if they name one, by a cluster file."""

    def __init__(self, plan: PlanConfig) -> None:
        """Raises UserError where the cluster file can't be read or has other node types."""
        self._plan = plan
        self._types = {} if plan.cluster is None else read_node_types(plan.cluster)

    def most_devices(self, node_type: str) -> int | None:
        """GPUs of a type that the cluster grows to; None: no file tells."""
        found = self._types.get(node_type)
        return None if found is None else found.most_nodes * self.node(node_type).num_gpus

    def most_cpus(self, node_type: str) -> int:
        """Cores of a type: of all its nodes, or of one where no file tells how many there are."""
        found = self._types.get(node_type)
        return (1 if found is None else found.most_nodes) * self.node(node_type).num_cpus

    def node(self, node_type: str) -> NodeConfig:
        """A type's settings."""
        node: NodeConfig = getattr(self._plan.nodes, node_type)
        found = self._types.get(node_type)
        return node if found is None else node.model_copy(update=found.resources)

    def gpus(self, node_type: str, num_gpus: int) -> Machines:
        """That many GPUs of a node type, or as many as the cluster has.

        Raises:
            UserError: The type has none.
        """
        node = self.node(node_type)
        if not node.num_gpus:
            raise UserError(
                f"plan.nodes.{node_type}.num_gpus: 0, but the recipe needs {num_gpus} GPUs there; give "
                f"how many a machine has"
            )
        device = Device(
            node.gpu_peak_tflops * 1e12,
            node.gpu_bandwidth_gb_per_sec * 1e9,
            node.gpu_memory_gib * GIB,
            is_gpu=True,
        )
        return Machines(node_type, device, num_gpus, math.ceil(num_gpus / node.num_gpus), node)

    def cpus(self, num_workers: int, cpus_per_worker: float) -> Machines:
        """That many workers on machines without GPUs. Each has at least one core of its own."""
        node = self.node("cpu")
        cores = max(cpus_per_worker, 1.0)
        device = Device(
            cores * node.cpu_peak_gflops * 1e9,
            cores * node.cpu_bandwidth_gb_per_sec * 1e9,
            node.memory_gib * GIB * min(cores / node.num_cpus, 1.0),
            is_gpu=False,
        )
        num_nodes = math.ceil(num_workers * cores / node.num_cpus)
        return Machines("cpu", device, num_workers, num_nodes, node)


def read_node_types(path: str) -> dict[str, NodeType]:
    """The types of a `ray up` file that a plan knows.

    Raises:
        UserError: It can't be read, or has none of them.
    """
    import yaml

    try:
        content = yaml.safe_load(Path(path).expanduser().read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(
            f"plan.cluster: {path!r} can't be read ({one_line(error)}); give a `ray up` file"
        ) from error
    types: Any = content.get("available_node_types") if isinstance(content, Mapping) else None
    known = [name for name in NODE_TYPES if name in types] if isinstance(types, Mapping) else []
    if not known:
        raise UserError(
            f"plan.cluster: {path!r} has no available_node_types named {', '.join(NODE_TYPES)}; give a `ray up` file "
            f"with these names, or leave it out"
        )
    return {name: _node_type(types[name] or {}, name == content.get("head_node_type")) for name in known}


def _node_type(settings: Mapping[str, Any], is_head: bool) -> NodeType:
    declared = settings.get("resources") or {}
    resources = {
        field: int(declared[name])
        for name, field in (("CPU", "num_cpus"), ("GPU", "num_gpus"))
        if declared.get(name)
    }
    return NodeType(1 if is_head else int(settings.get("max_workers", 0)), resources)
