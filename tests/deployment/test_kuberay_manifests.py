"""The KubeRay manifests against KubeRay's published schemas, its operator's rules, and our own command line."""

import copy
import os
import re
import shlex
from importlib import metadata
from pathlib import Path

import pytest

from app.cli import parse_command
from app.cluster.connection import PROXY_CALLBACK
from app.recipe import load_config
from app.submission import check_portable
from tests.deployment.kuberay_schemas import MANIFESTS, faults, read_crds, read_manifests, read_reduced

ROOT = Path(__file__).parents[2]
CRDS = os.environ.get("LONGSTRAP_KUBERAY_CRDS")
JOBS = {name: manifest for name, manifest in read_manifests().items() if manifest["kind"] == "RayJob"}
CLUSTER = read_manifests()["raycluster.yaml"]
SERVICE = read_manifests()["rayservice.yaml"]
GROUPS = {group["groupName"]: group for group in CLUSTER["spec"]["workerGroupSpecs"]}
NAME = re.compile(r"[a-z]([-a-z0-9]{0,45}[a-z0-9])?")
"""A DNS label, as long as KubeRay allows."""


@pytest.fixture(scope="module")
def schemas() -> dict:
    return read_crds(Path(CRDS)) if CRDS else read_reduced()


def templates(spec: dict, head: str) -> dict[str, dict]:
    """A cluster's pods by group."""
    named = {head: spec["headGroupSpec"]} | {group["groupName"]: group for group in spec["workerGroupSpecs"]}
    return {name: group["template"] for name, group in named.items()}


def pods() -> dict[str, dict]:
    """The pods of the cluster and of the service, by group."""
    both = templates(CLUSTER["spec"], "head") | templates(SERVICE["spec"]["rayClusterConfig"], "serving-head")
    return {name: template["spec"] for name, template in both.items()}


def submitters() -> dict[str, dict]:
    """The pods that submit the jobs' commands, by manifest."""
    return {name: manifest["spec"]["submitterPodTemplate"]["spec"] for name, manifest in JOBS.items()}


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
    if not group.endswith("head"):
        assert pod["automountServiceAccountToken"] is False
    mounted = {volume["name"] for volume in pod["volumes"]}
    [container] = pod["containers"]
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == mounted
    assert pod["securityContext"] == pods()["head"]["securityContext"]
    assert container["securityContext"] == pods()["head"]["containers"][0]["securityContext"]
    limits, requests = container["resources"]["limits"], container["resources"]["requests"]
    assert limits == requests


@pytest.mark.parametrize("group", pods())
def test_a_pod_has_what_its_siblings_have(group):
    pod, sibling = pods()[group], pods()["head"]
    for shared in ("serviceAccountName", "imagePullSecrets"):
        assert pod[shared] == sibling[shared], shared
    [container], [other] = pod["containers"], sibling["containers"]
    assert (container["image"], container["envFrom"]) == (other["image"], other["envFrom"])
    assert [mount for mount in container["volumeMounts"] if mount["name"] == "cache"] == other["volumeMounts"]
    assert {"name": "metrics", "containerPort": 8080} in container["ports"]
    takes_gpus = "nvidia.com/gpu" in container["resources"]["limits"]
    assert ("tolerations" in pod) == takes_gpus
    if takes_gpus:
        assert pod["tolerations"] == pods()["train-gpu"]["tolerations"]
    assert "longstrap/pool" in pod["nodeSelector"]
    variables = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert variables.keys() >= {"RAY_USAGE_STATS_ENABLED", "LONGSTRAP_API_KEY"}
    assert variables.items() >= PROXY_CALLBACK.items()


@pytest.mark.parametrize("name", JOBS)
def test_a_pod_that_submits_has_what_the_clusters_have(name):
    # KubeRay's own template for it takes the head's image, and nothing else that the head needs to run it.
    pod, sibling = submitters()[name], pods()["head"]
    for shared in ("serviceAccountName", "imagePullSecrets", "securityContext", "nodeSelector"):
        assert pod[shared] == sibling[shared], shared
    assert pod["restartPolicy"] == "Never"
    assert pod["automountServiceAccountToken"] is False
    [container], [other] = pod["containers"], sibling["containers"]
    assert (container["image"], container["securityContext"]) == (other["image"], other["securityContext"])
    # KubeRay's, which submits the entrypoint and follows its log.
    assert container.keys().isdisjoint({"command", "args"})
    assert container["resources"]["limits"] == container["resources"]["requests"]


def test_head_and_autoscaler_of_both_clusters_are_alike():
    service = SERVICE["spec"]["rayClusterConfig"]
    container = CLUSTER["spec"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    for spec in (CLUSTER["spec"], service):
        assert spec["rayVersion"] == metadata.version("ray")
        assert spec["authOptions"]["mode"] == "token"
        assert spec["headGroupSpec"]["serviceType"] == "ClusterIP"
        assert spec["autoscalerOptions"]["version"] == "v2"
        # Beside containers that Pod Security lets in, one that it does not keeps the whole pod out.
        assert spec["autoscalerOptions"]["securityContext"] == container["securityContext"]


@pytest.mark.parametrize("group", ["head", "train-gpu", "serving-head", "eight-gpus"])
def test_pods_that_cannot_be_moved_say_so(group):
    both = templates(CLUSTER["spec"], "head") | templates(SERVICE["spec"]["rayClusterConfig"], "serving-head")
    assert both[group]["metadata"]["annotations"] == {
        "karpenter.sh/do-not-disrupt": "true",
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    }


def test_names_do_not_collide():
    # KubeRay calls a head's service OWNER-head-svc, whatever kind the owner is, and takes what is there for its own.
    names = [manifest["metadata"]["name"] for manifest in read_manifests().values()]
    assert len(set(names)) == len(names)


def test_the_evaluation_asks_the_service_that_is_there():
    url = f"http://{SERVICE['metadata']['name']}-serve-svc:8000/v1"
    assert f"--url {url}" in JOBS["rayjob-evaluate.yaml"]["spec"]["entrypoint"]


def test_jobs_of_one_run_folder_read_one_corpus():
    corpora = {
        place
        for manifest in JOBS.values()
        for place in re.findall(r"--corpus\.sources\.0\.path (\S+)", manifest["spec"]["entrypoint"])
    }
    [corpus] = corpora
    assert corpus in (ROOT / "docs" / "cluster.md").read_text()


def test_a_stopped_server_has_time_to_drain():
    variables = {each["name"]: each.get("value") for each in pods()["head"]["containers"][0]["env"]}
    config = load_config("llama3_8b_1m", [])
    assert config.serve is not None
    assert float(variables["RAY_JOB_STOP_WAIT_TIME_S"]) > config.serve.drain_timeout_sec


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
    own |= {each["name"] for each in value.get("imagePullSecrets", ())}
    own |= {value["secretName"]} if "secretName" in value else set()
    return own.union(*map(secrets_of, value.values()))


def test_every_secret_is_explained():
    head = (MANIFESTS / "raycluster.yaml").read_text().partition("apiVersion:")[0]
    guide = (ROOT / "docs" / "cluster.md").read_text()
    secrets = secrets_of(CLUSTER)
    assert secrets >= secrets_of(SERVICE)
    assert len(secrets) == 5
    for secret in secrets:
        assert secret in head
        assert re.search(f"secret (generic|docker-registry) {secret}", guide)
