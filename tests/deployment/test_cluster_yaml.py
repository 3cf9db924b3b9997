"""`cluster.yaml` as Ray's own launcher and autoscaler read it; no cloud is asked."""

import copy
import re
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from botocore.session import get_session
from botocore.validate import ParamValidator
from jsonschema import ValidationError
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig
from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingRequest
from ray.autoscaler.v2.utils import ResourceRequestUtil
from ray.core.generated.common_pb2 import LabelSelectorOperator

from app.cluster.connection import PROXY_CALLBACK
from app.config import ServeConfig
from app.recipe import load_config

ROOT = Path(__file__).parents[2]
GIB = 2**30
MACHINES = {
    "m7i.2xlarge": {},
    "m7i.8xlarge": {"memory": 128 * GIB},
    "g6e.2xlarge": {"memory": 64 * GIB, "accelerator_type:L40S": 1},
    "p5.48xlarge": {"memory": 2048 * GIB, "accelerator_type:H100": 1},
}
"""What Ray finds out on AWS and adds to the declared resources."""


@pytest.fixture
def cluster() -> dict:
    return yaml.safe_load((ROOT / "cluster.yaml").read_text())


def checked(config: dict) -> dict:
    prepared = prepare_config(config)
    validate_config(prepared)
    return prepared


def launched(config: dict, requests: list) -> dict[str, int]:
    """Nodes that Ray's autoscaler would start for requests, by type."""
    config = copy.deepcopy(config)
    for node_type in config["available_node_types"].values():
        node_type["resources"] |= MACHINES[node_type["node_config"]["InstanceType"]]
    autoscaling = AutoscalingConfig(config, skip_content_hash=True)
    reply = ResourceDemandScheduler().schedule(
        SchedulingRequest(
            disable_launch_config_check=True,
            node_type_configs=autoscaling.get_node_type_configs(),
            max_num_nodes=config["max_workers"],
            resource_requests=ResourceRequestUtil.group_by_count(requests),
        )
    )
    assert not reply.infeasible_resource_requests
    return {request.instance_type: request.count for request in reply.to_launch if request.count}


def request(cpus: float, gpus: float, labels: dict[str, str]) -> object:
    in_ = LabelSelectorOperator.LABEL_OPERATOR_IN
    selectors = [[(key, in_, [value]) for key, value in labels.items()]] if labels else None
    return ResourceRequestUtil.make(
        {"CPU": cpus} | ({"GPU": gpus} if gpus else {}), label_selectors=selectors
    )


def test_ray_accepts_it(cluster):
    prepared = checked(cluster)
    assert prepared["available_node_types"].keys() == {"head", "cpu", "generate_gpu", "train_gpu"}
    # Ray's defaults would install another Ray over the image's.
    assert prepared["setup_commands"] == prepared["worker_setup_commands"] == []


@pytest.mark.parametrize("place", [(), ("available_node_types", "cpu"), ("docker",)])
def test_ray_would_not_accept_a_setting_that_it_does_not_know(cluster, place):
    section = cluster
    for name in place:
        section = section[name]
    section["max_worker"] = 3
    with pytest.raises(ValidationError, match="max_worker"):
        checked(cluster)


def test_each_node_type_has_its_own_numbers(cluster):
    workers = {name: kind for name, kind in cluster["available_node_types"].items() if name != "head"}
    assert all(kind["min_workers"] == 0 for kind in workers.values())
    assert sum(kind["max_workers"] for kind in workers.values()) == cluster["max_workers"]
    assert cluster["available_node_types"]["head"]["resources"] == {"CPU": 0}
    market = {
        name: kind["node_config"].get("InstanceMarketOptions", {}).get("MarketType", "on-demand")
        for name, kind in cluster["available_node_types"].items()
    }
    assert market == {"head": "on-demand", "cpu": "spot", "generate_gpu": "spot", "train_gpu": "on-demand"}


def test_the_token_is_a_file_of_the_user_and_every_container_is_told_where(cluster):
    options = dict(
        option.removeprefix("-e ").split("=", 1)
        for option in cluster["docker"]["run_options"]
        if option.startswith("-e ")
    )
    assert options["RAY_AUTH_MODE"] == "token"
    assert options.items() >= PROXY_CALLBACK.items()
    # More than `serve` waits for requests under way.
    assert float(options["RAY_JOB_STOP_WAIT_TIME_S"]) > ServeConfig.model_fields["drain_timeout_sec"].default
    for variable in ("RAY_AUTH_TOKEN_PATH", "HF_TOKEN_PATH"):
        assert options[variable] in cluster["file_mounts"]
    assert all(place.startswith("~/") for place in cluster["file_mounts"].values())
    text = (ROOT / "cluster.yaml").read_text()
    assert not re.search(r"RAY_AUTH_TOKEN=|HF_TOKEN=|AWS_SECRET|AKIA[0-9A-Z]{12}|[0-9a-f]{32}", text)


def test_ec2_would_take_the_machines(cluster):
    operation = get_session().get_service_model("ec2").operation_model("RunInstances")
    for name, kind in cluster["available_node_types"].items():
        asked = kind["node_config"] | {"MinCount": 1, "MaxCount": 1}
        faults = ParamValidator().validate(asked, operation.input_shape)
        assert not faults.has_errors(), f"{name}: {faults.generate_report()}"


def test_the_heads_client_is_the_one_that_was_tested(cluster):
    assert f"boto3=={metadata.version('boto3')}" in cluster["head_setup_commands"][0]


def test_the_dashboard_is_on_loopback(cluster):
    [start] = [command for command in cluster["head_start_ray_commands"] if "ray start" in command]
    assert "--dashboard-host=127.0.0.1" in start
    assert "--autoscaling-config=~/ray_bootstrap_config.yaml" in start


@pytest.mark.parametrize(("num_engines", "num_retrievers"), [(1, 1), (8, 4), (32, 4)])
def test_engines_and_retrievers_start_generate_nodes_only(cluster, num_engines, num_retrievers):
    recipe = load_config("llama3_8b_1m", [])
    labels = cluster["available_node_types"]["generate_gpu"]["labels"]
    pipeline, retrieval = recipe.pipeline, recipe.retrieval
    requests = [request(pipeline.cpus_per_actor, pipeline.gpus_per_actor, labels)] * num_engines
    requests += [request(retrieval.cpus_per_retriever, retrieval.gpus_per_retriever, labels)] * num_retrievers
    assert launched(cluster, requests) == {"generate_gpu": num_engines + num_retrievers}


def test_the_recipes_most_actors_fit(cluster):
    recipe = load_config("llama3_8b_1m", [])
    most = recipe.pipeline.max_actors + recipe.retrieval.num_retrievers
    assert cluster["available_node_types"]["generate_gpu"]["max_workers"] >= most


def test_without_labels_engines_would_start_a_train_node(cluster):
    """What the comment in the file says: the reason for the labels."""
    assert "train_gpu" in launched(cluster, [request(1, 1, {})] * 8)


def test_training_workers_start_whole_train_nodes_only(cluster):
    train = load_config("llama3_8b_1m", []).train
    labels = cluster["available_node_types"]["train_gpu"]["labels"]
    workers = [request(train.cpus_per_worker, train.gpus_per_worker, labels)] * train.num_workers
    assert launched(cluster, workers) == {"train_gpu": train.num_workers // 8}


def test_a_task_without_a_gpu_starts_a_cpu_node(cluster):
    assert launched(cluster, [request(1, 0, {})] * 40) == {"cpu": 2}


def test_the_image_has_the_ray_that_is_locked():
    for lock in ("cpu.txt", "cuda.txt"):
        pins = (ROOT / "ray_jobs/environments" / lock).read_text().splitlines()
        assert f"ray=={metadata.version('ray')}" in pins
