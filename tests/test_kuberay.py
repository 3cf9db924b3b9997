"""The KubeRay manifests: what they import is there, and no secret is in them."""

import importlib.util
from pathlib import Path

import pytest
import yaml

from app.config import ServedModelConfig
from app.recipe import load_config

FOLDER = Path(__file__).parent.parent / "ray_jobs" / "kuberay"


@pytest.fixture(scope="module")
def service() -> dict:
    return yaml.safe_load((FOLDER / "rayservice.yaml").read_text("utf-8"))


@pytest.fixture(scope="module")
def served(service) -> dict:
    return yaml.safe_load(service["spec"]["serveConfigV2"])


def containers(service) -> list[dict]:
    cluster = service["spec"]["rayClusterConfig"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [container for group in groups for container in group["template"]["spec"]["containers"]]


def test_the_service_is_one(service):
    assert (service["apiVersion"], service["kind"]) == ("ray.io/v1", "RayService")


def test_the_builder_is_there(served):
    [application] = served["applications"]
    module, _, function = application["import_path"].partition(":")
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    assert f"\ndef {function}(" in Path(spec.origin).read_text("utf-8")


def test_the_recipe_is_there_and_the_workers_hold_its_replicas(service, served):
    args = served["applications"][0]["args"]
    overrides = [text for name, value in args["overrides"].items() for text in (f"--{name}", value)]
    config = load_config(args["config"], overrides)
    assert config.serve is not None
    [model] = config.serve.models.values()
    assert isinstance(model, ServedModelConfig)
    [group] = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    [container] = group["template"]["spec"]["containers"]
    assert float(container["resources"]["limits"]["nvidia.com/gpu"]) == model.gpus_per_replica
    assert float(container["resources"]["requests"]["cpu"]) >= model.cpus_per_replica
    assert group["maxReplicas"] == model.max_replicas
    assert group["template"]["spec"]["terminationGracePeriodSeconds"] > config.serve.drain_timeout_sec


def test_ray_asks_for_its_token(service):
    assert service["spec"]["rayClusterConfig"]["authOptions"] == {"mode": "token"}


def test_secrets_are_references(service):
    for container in containers(service):
        [key] = [variable for variable in container["env"] if variable["name"] == "LONGSTRAP_API_KEY"]
        assert key["valueFrom"]["secretKeyRef"]["name"]
