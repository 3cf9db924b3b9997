"""The KubeRay manifests against KubeRay's published schemas, its operator's rules, and our own command line."""

import copy
import os
import re
import shlex
from importlib import metadata
from pathlib import Path

import pytest

from app.cli import parse_command
from app.recipe import load_config
from app.submission import check_portable
from tests.deployment.kuberay_schemas import MANIFESTS, faults, read_crds, read_manifests, read_reduced

ROOT = Path(__file__).parents[2]
CRDS = os.environ.get("LONGSTRAP_KUBERAY_CRDS")
JOBS = {name: manifest for name, manifest in read_manifests().items() if manifest["kind"] == "RayJob"}
CLUSTER = read_manifests()["raycluster.yaml"]
GROUPS = {group["groupName"]: group for group in CLUSTER["spec"]["workerGroupSpecs"]}
NAME = re.compile(r"[a-z]([-a-z0-9]{0,45}[a-z0-9])?")
"""A DNS label, as long as KubeRay allows."""


@pytest.fixture(scope="module")
def schemas() -> dict:
    return read_crds(Path(CRDS)) if CRDS else read_reduced()


def pods() -> dict[str, dict]:
    """The cluster's pods by group."""
    spec = CLUSTER["spec"]
    named = {"head": spec["headGroupSpec"]} | GROUPS
    return {name: group["template"]["spec"] for name, group in named.items()}


@pytest.mark.parametrize("name", read_manifests())
def test_kuberay_knows_every_field(schemas, name):
    manifest = read_manifests()[name]
    assert manifest["apiVersion"] == "ray.io/v1"
    assert NAME.fullmatch(manifest["metadata"]["name"])
    assert faults(schemas[manifest["kind"]], manifest) == []


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (("spec", "workerGroupSpecs", 0, "maxReplica"), 3, "maxReplica"),
        (("spec", "workerGroupSpecs", 0, "maxReplicas"), "3", "is not of type 'integer'"),
        (("spec", "autoscalerOptions", "version"), "v3", "'v3' is not one of"),
        (("spec", "headGroupSpec", "template", "spec", "containers", 0, "image"), None, "is not of type"),
        (("spec", "headGroupSpec", "template"), {}, ""),
    ],
)
def test_a_wrong_field_would_be_seen(schemas, place, value, told):
    manifest = copy.deepcopy(CLUSTER)
    *sections, field = place
    section = manifest
    for name in sections:
        section = section[name]
    section[field] = value
    found = faults(schemas["RayCluster"], manifest)
    if told:
        assert any(told in fault for fault in found)
    else:
        # An empty pod is refused by Kubernetes, not by the schema: the reason why pods are looked at below.
        assert found == []


def test_a_required_field_would_be_missed(schemas):
    manifest = copy.deepcopy(CLUSTER)
    del manifest["spec"]["headGroupSpec"]
    assert faults(schemas["RayCluster"], manifest) == ["spec: 'headGroupSpec' is a required property"]


@pytest.mark.parametrize("name", JOBS)
def test_a_job_is_a_command_that_the_cluster_can_run(name):
    spec = JOBS[name]["spec"]
    python, option, module, *arguments = shlex.split(spec["entrypoint"])
    assert (python, option) == ("python", "-m")
    package, _, verb = module.partition(".")
    assert package == "ray_jobs"
    assert name == f"rayjob-{verb}.yaml"
    assert (ROOT / "ray_jobs" / f"{verb}.py").is_file()
    command = parse_command([verb, *arguments])
    config = load_config(command.recipe, command.overrides)
    check_portable(config)
    assert config.run_dir == "s3://BUCKET/runs/llama3-1m"


@pytest.mark.parametrize("name", JOBS)
def test_a_job_keeps_the_operators_rules_for_a_cluster_that_is_there(name):
    spec = JOBS[name]["spec"]
    assert spec["clusterSelector"] == {"ray.io/cluster": CLUSTER["metadata"]["name"]}
    # The operator refuses these beside a selector; a retry of ours is another `kubectl apply`.
    assert spec.keys().isdisjoint(
        {"rayClusterSpec", "suspend", "backoffLimit", "shutdownAfterJobFinishes", "deletionStrategy"}
    )


def test_jobs_choose_groups_that_are_there():
    labels = {group["labels"]["pool"] for group in GROUPS.values()}
    for manifest in JOBS.values():
        for wanted in re.findall(r"\{pool: ([a-z-]+)\}", manifest["spec"]["entrypoint"]):
            assert wanted in labels
    assert "{pool: train}" in JOBS["rayjob-train.yaml"]["spec"]["entrypoint"]
    assert JOBS["rayjob-synthesize.yaml"]["spec"]["entrypoint"].count("{pool: generate}") == 2


def test_groups_grow_from_nothing_to_what_the_recipe_asks_for():
    assert CLUSTER["spec"]["enableInTreeAutoscaling"]
    assert all(group["minReplicas"] == 0 for group in GROUPS.values())
    recipe = load_config("llama3_8b_1m", [])
    pipeline, retrieval, train = recipe.pipeline, recipe.retrieval, recipe.train
    assert GROUPS["generate-gpu"]["maxReplicas"] == pipeline.max_actors + retrieval.num_retrievers
    generate, training = (
        pods()[name]["containers"][0]["resources"]["limits"] for name in ("generate-gpu", "train-gpu")
    )
    assert pipeline.gpus_per_actor == int(generate["nvidia.com/gpu"])
    assert pipeline.cpus_per_actor <= int(generate["cpu"])
    # Two to a pod would find no place for the engines that are counted on.
    assert retrieval.cpus_per_retriever <= int(generate["cpu"]) < 2 * retrieval.cpus_per_retriever
    gpus = int(training["nvidia.com/gpu"])
    assert GROUPS["train-gpu"]["maxReplicas"] * gpus == train.num_workers * train.gpus_per_worker
    assert gpus * train.cpus_per_worker <= int(training["cpu"])
    assert CLUSTER["spec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


def test_the_version_is_the_locked_one_and_knows_tokens():
    assert CLUSTER["spec"]["rayVersion"] == metadata.version("ray")
    assert CLUSTER["spec"]["authOptions"] == {"mode": "token", "secretName": "longstrap-ray-token"}


@pytest.mark.parametrize("group", pods())
def test_a_pod_has_few_rights(group):
    pod = pods()[group]
    assert pod["securityContext"]["runAsNonRoot"]
    # The user of the images.
    assert pod["securityContext"]["runAsUser"] == 1000
    assert pod.get("restartPolicy") is None
    if group != "head":
        assert pod["automountServiceAccountToken"] is False
    mounted = {volume["name"] for volume in pod["volumes"]}
    [container] = pod["containers"]
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == mounted
    limits, requests = container["resources"]["limits"], container["resources"]["requests"]
    assert limits == requests


def test_secrets_are_named_never_held():
    for path in MANIFESTS.glob("*.yaml"):
        text = path.read_text()
        assert not re.search(r"[0-9a-f]{32}|hf_[A-Za-z0-9]{20}|AKIA[0-9A-Z]{12}", text), path.name
    for pod in pods().values():
        for container in pod["containers"]:
            for variable in container["env"]:
                is_secret = re.search("TOKEN|KEY|SECRET|PASSWORD", variable["name"])
                assert ("valueFrom" in variable) == bool(is_secret), variable["name"]


def secrets_of(value: object) -> set[str]:
    """Names of all secrets that a manifest refers to."""
    if isinstance(value, list):
        return set().union(*map(secrets_of, value))
    if not isinstance(value, dict):
        return set()
    own = {value[key]["name"] for key in ("secretRef", "secretKeyRef") if key in value}
    own |= {value["secretName"]} if "secretName" in value else set()
    return own.union(*map(secrets_of, value.values()))


def test_every_secret_is_explained():
    head = (MANIFESTS / "raycluster.yaml").read_text().partition("apiVersion:")[0]
    guide = (ROOT / "docs" / "cluster.md").read_text()
    secrets = secrets_of(CLUSTER)
    assert len(secrets) == 4
    for secret in secrets:
        assert secret in head
        assert f"secret generic {secret}" in guide
