"""Ray's own autoscaler, with nodes that are processes of this machine: they come for a job and go after it.

Only the cloud and the LLM are doubles: a head without workers, a submitted synthesis, node types with labels.
"""

import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import yaml

from tests.integration.endpoint_double import EndpointDouble
from tests.integration.ray_heads import START_SEC, LocalHead, free_ports, local_head
from tests.integration.synthesis_runs import (
    KEY_VARIABLE,
    NUM_LONG_INPUTS,
    NUM_LONG_OUTPUTS,
    dataset_ids,
    write_corpus,
    write_recipe,
)

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
PROVIDER = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"
COMMANDS = (
    *("cluster_synced_files", "initialization_commands", "setup_commands", "head_setup_commands"),
    *("worker_setup_commands", "head_start_ray_commands", "worker_start_ray_commands"),
)
HEAD_ID = "f" * 51 + "00000"
IDLE_SEC = 6
JOB_SEC = 420
ACTOR = "ray::MapWorker(MapBatches(AgentActor))"
NODE_TYPES = {
    # The name that the provider gives to its head.
    "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
    "cpu": {"resources": {"CPU": 2}, "labels": {"pool": "cpu"}, "node_config": {}, "max_workers": 1},
    "generate": {
        "resources": {"CPU": 2},
        "labels": {"pool": "generate"},
        "node_config": {},
        "max_workers": 2,
    },
}


@pytest.fixture(scope="module")
def head(tmp_path_factory) -> Iterator[LocalHead]:
    """A head on which nothing runs, and an autoscaler that may add nodes."""
    [port] = free_ports(1)
    config = tmp_path_factory.mktemp("autoscaler") / "cluster.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "cluster_name": "longstrap",
                "max_workers": 3,
                "idle_timeout_minutes": IDLE_SEC / 60,
                "upscaling_speed": 1.0,
                # Ray's own; by its class, as Ray's wheel lacks the defaults that belong to its name.
                "provider": {
                    "type": "external",
                    "module": PROVIDER,
                    "disable_node_updaters": True,
                    "gcs_address": f"127.0.0.1:{port}",
                    "head_node_id": HEAD_ID,
                    "launch_multiple": True,
                },
                "available_node_types": NODE_TYPES,
                "head_node_type": "ray.head.default",
                **{name: [] for name in COMMANDS},
                **{name: {} for name in ("docker", "auth", "file_mounts")},
            }
        )
    )
    environment = {
        "RAY_FAKE_CLUSTER": "1",
        "RAY_enable_autoscaler_v2": "1",
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        "RAY_CLOUD_INSTANCE_ID": HEAD_ID,
        "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD_ID,
        # Jobs and nodes inherit it. The code is in the environment, as in an image: nodes of one machine would delete
        # each other's copies of a working dir.
        "PYTHONPATH": str(ROOT),
        KEY_VARIABLE: "none",
        "HF_HUB_OFFLINE": "1",
    }
    options = ("--num-cpus=0", f"--autoscaling-config={config}")
    with local_head(*options, environment=environment, gcs_port=port) as started:
        yield started


def nodes(head: LocalHead) -> dict[str, list[psutil.Process]]:
    """Raylets of the workers that the autoscaler has started, by node type."""
    found: dict[str, list[psutil.Process]] = {}
    for process in psutil.Process(head.process.pid).children(recursive=True):
        try:
            if process.name() == "raylet" and process.status() != psutil.STATUS_ZOMBIE:
                found.setdefault(process.environ().get("RAY_NODE_TYPE_NAME", "head"), []).append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    found.pop("head", None)
    return found


def num_nodes(head: LocalHead) -> int:
    return sum(map(len, nodes(head).values()))


def node_of(worker: str, head: LocalHead) -> psutil.Process:
    """The raylet under which a worker with this title runs."""
    for processes in nodes(head).values():
        for raylet in processes:
            if any(worker in " ".join(child.cmdline()) for child in raylet.children()):
                return raylet
    raise AssertionError(f"no node runs {worker}")


def wait_for(condition: Callable[[], bool], what: str, timeout_sec: float, log: Path) -> float:
    """Seconds until the condition held."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < timeout_sec, f"{what}:\n{log.read_text()}"
        time.sleep(0.2)
    return time.monotonic() - started


def exported_metrics(head: LocalHead) -> set[str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{head.metrics_port}/metrics", timeout=20) as answer:
            return set(re.findall(r"^(ray_longstrap_\w+)\{", answer.read().decode(), re.MULTILINE))
    except OSError:
        return set()


@dataclass
class SubmittedJob:
    process: "subprocess.Popen[bytes]"
    log: Path
    most_nodes: int = 0
    metrics: set[str] = field(default_factory=set)
    """Names of ours that the head has exported to Prometheus."""

    def wait(self, head: LocalHead) -> None:
        deadline = time.monotonic() + JOB_SEC
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.log.read_text()
            self.most_nodes = max(self.most_nodes, num_nodes(head))
            self.metrics |= exported_metrics(head)
            time.sleep(0.5)
        assert self.process.returncode == 0, self.log.read_text()


def submit(head: LocalHead, folder: Path) -> SubmittedJob:
    """`ray job submit` of a synthesis whose recipe is in the folder."""
    log = folder / "job.log"
    labels = "{pool: generate}"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [
                *(str(Path(sys.executable).parent / "ray"), "job", "submit", "--address", head.address),
                *("--", "python", "-m", "ray_jobs.synthesize", "--config", str(folder / "recipe.yaml")),
                *("--retrieval.node_labels", labels, "--pipeline.node_labels", labels),
                # Two nodes of their own for two actors; reading and writing needs the third.
                *(
                    "--pipeline.min_actors",
                    "2",
                    "--pipeline.max_actors",
                    "2",
                    "--pipeline.cpus_per_actor",
                    "2",
                ),
            ],
            env=head.environment,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    return SubmittedJob(process, log)


@pytest.fixture(scope="module")
def undisturbed(head, tmp_path_factory) -> tuple[Path, SubmittedJob]:
    """A run to which nothing happened, and its job."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert num_nodes(head) == 0
    with EndpointDouble(delay_sec=0.05) as endpoint:
        write_corpus(folder / "corpus.jsonl")
        write_recipe(folder / "recipe.yaml", folder / "run", folder / "corpus.jsonl", endpoint.base_url)
        job = submit(head, folder)
        job.wait(head)
    return folder, job


@pytest.mark.timeout(START_SEC + 2 * JOB_SEC)
def test_nodes_come_for_a_job_and_go_when_they_are_idle(head, undisturbed):
    folder, job = undisturbed
    examples, rejects = dataset_ids(folder / "run")
    assert (len(examples), rejects) == (NUM_LONG_INPUTS + NUM_LONG_OUTPUTS, {})
    assert job.most_nodes == 3
    wait_for(lambda: num_nodes(head) == 0, "nodes stay", IDLE_SEC + 60, head.log)


@pytest.mark.timeout(START_SEC + 3 * JOB_SEC)
def test_a_node_killed_on_the_way_costs_no_row(head, undisturbed, tmp_path):
    done, _ = undisturbed
    for artefact in ("corpus", "index"):
        shutil.copytree(done / "run" / artefact, tmp_path / "run" / artefact)
    # So slow that metrics, which are exported every ten seconds, tell of it.
    with EndpointDouble(delay_sec=1) as endpoint:
        write_recipe(tmp_path / "recipe.yaml", tmp_path / "run", done / "corpus.jsonl", endpoint.base_url)
        job = submit(head, tmp_path)
        wait_for(lambda: len(endpoint.served) > 40, "no calls", JOB_SEC, job.log)
        lost = node_of(ACTOR, head)
        assert lost in nodes(head)["generate"]
        lost.kill()
        num_served = len(endpoint.served)
        job.wait(head)
        assert len(endpoint.served) > num_served + 20
    # Exported where the driver runs, which outlives the workers.
    assert {f"ray_longstrap_{name}" for name in ("seeds", "seeds_done", "llm_calls_total")} <= job.metrics
    assert dataset_ids(tmp_path / "run") == dataset_ids(done / "run")
    wait_for(lambda: num_nodes(head) == 0, "nodes stay", IDLE_SEC + 60, head.log)
