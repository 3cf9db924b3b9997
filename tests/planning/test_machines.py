import pytest
import yaml

from app.config import NodeConfig, NodesConfig, PlanConfig
from app.faults import UserError
from app.planning.machines import Cluster, read_node_types
from app.quantities import GIB

CLUSTER = {
    "head_node_type": "head",
    "available_node_types": {
        "head": {"resources": {"CPU": 0}, "max_workers": 0},
        "cpu": {"min_workers": 0, "max_workers": 4, "resources": {"CPU": 31}},
        "generate_gpu": {"max_workers": 3, "resources": {"CPU": 7, "GPU": 1}},
        "train_gpu": {"max_workers": 2},
    },
}


@pytest.fixture
def cluster_file(tmp_path):
    path = tmp_path / "cluster.yaml"
    path.write_text(yaml.safe_dump(CLUSTER))
    return str(path)


def test_gpus_are_on_whole_machines_that_cost_whole_hours():
    nodes = NodesConfig(train_gpu=NodeConfig(num_gpus=8, price_per_hour=40.0))
    machines = Cluster(PlanConfig(nodes=nodes)).gpus("train_gpu", 12)
    assert (machines.num_devices, machines.num_nodes) == (12, 2)
    assert machines.money(1800) == 40.0
    assert machines.device_hours(1800) == 6.0
    assert machines.device.memory_bytes == 80 * GIB
    assert machines.describe() == "12 GPUs"


def test_without_a_price_there_is_no_money():
    assert Cluster(PlanConfig()).gpus("train_gpu", 8).money(3600) is None


def test_workers_on_cpus_have_their_cores():
    nodes = NodesConfig(cpu=NodeConfig(num_cpus=16, memory_gib=64, cpu_peak_gflops=100))
    machines = Cluster(PlanConfig(nodes=nodes)).cpus(6, 4.0)
    assert machines.device.peak_flops == 400e9
    assert machines.device.memory_bytes == 16 * GIB
    assert machines.num_nodes == 2
    assert not machines.device.is_gpu


def test_a_cluster_file_gives_the_most_nodes(cluster_file):
    assert {name: each.most_nodes for name, each in read_node_types(cluster_file).items()} == {
        "head": 1,
        "cpu": 4,
        "generate_gpu": 3,
        "train_gpu": 2,
    }
    cluster = Cluster(PlanConfig(cluster=cluster_file))
    assert cluster.most_devices("train_gpu") == 16
    assert cluster.most_cpus("cpu") == 4 * 31
    assert cluster.most_devices("generate_gpu") == 3
    assert Cluster(PlanConfig()).most_devices("train_gpu") is None


@pytest.mark.parametrize("content", ["", "[]", "available_node_types: {gpu: {}}", "a: [", "\udc80"])
def test_another_file_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "other.yaml"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=r"^plan.cluster: .*; give a `ray up` file") as caught:
        read_node_types(str(path))
    assert "\n" not in str(caught.value)


def test_a_type_without_gpus_is_refused_where_gpus_are_needed():
    nodes = NodesConfig(train_gpu=NodeConfig(num_gpus=0))
    with pytest.raises(UserError, match=r"^plan.nodes.train_gpu.num_gpus: 0"):
        Cluster(PlanConfig(nodes=nodes)).gpus("train_gpu", 8)
