"""Jobs through a real local head with token authentication: submitted by Longstrap and by Ray itself."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from tests.integration.synthesis_runs import dataset_ids, write_corpus

ROOT = Path(__file__).parents[2]
START_SEC, STOP_SEC, JOB_SEC, SYNTHESIS_SEC = 120, 60, 400, 500


@dataclass(frozen=True)
class LocalHead:
    """A head that listens on this machine only."""

    address: str
    environment: dict[str, str]
    log: Path


def free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@pytest.fixture(scope="module")
def local_head() -> Iterator[LocalHead]:
    """`ray start --head --block`: a process of our own, which takes its children along when it ends."""
    # Sockets need a short path, which pytest's are not.
    folder = Path(tempfile.mkdtemp(prefix="ls", dir="/tmp"))
    token = folder / "token"
    token.write_text(secrets.token_hex(32))
    binaries = Path(sys.executable).parent
    environment = {
        name: value for name, value in os.environ.items() if name not in ("RAY_ADDRESS", "PYTHONPATH")
    }
    environment |= {
        "PATH": f"{binaries}:{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    names = (
        *("port", "dashboard-port", "dashboard-agent-listen-port", "dashboard-agent-grpc-port"),
        *("metrics-export-port", "runtime-env-agent-port", "node-manager-port", "object-manager-port"),
        "ray-client-server-port",
    )
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    log = folder / "head.log"
    with log.open("wb") as stream:
        head = subprocess.Popen(
            [
                *(str(binaries / "ray"), "start", "--head", "--block", "--num-cpus=4"),
                *("--object-store-memory=200000000", f"--temp-dir={folder}", "--node-ip-address=127.0.0.1"),
                *("--dashboard-host=127.0.0.1", "--include-dashboard=true", "--disable-usage-stats"),
                *(f"--{name}={port}" for name, port in ports.items()),
            ],
            env=environment,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    address = f"http://127.0.0.1:{ports['dashboard-port']}"
    try:
        wait_for_dashboard(address, token.read_text(), head, log)
        yield LocalHead(address, environment, log)
    finally:
        if head.poll() is None:
            process = psutil.Process(head.pid)
            processes = [process, *process.children(recursive=True)]
            process.terminate()
            for left in psutil.wait_procs(processes, STOP_SEC)[1]:
                left.kill()
        head.wait()
        shutil.rmtree(folder, ignore_errors=True)


def wait_for_dashboard(address: str, token: str, head: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SEC
    while time.monotonic() < deadline:
        assert head.poll() is None, log.read_text()
        request = urllib.request.Request(f"{address}/api/jobs/", headers={"Authorization": f"Bearer {token}"})
        try:
            with urllib.request.urlopen(request, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    pytest.fail(f"no dashboard within {START_SEC} s:\n{log.read_text()}")


def longstrap(verb: str, *arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"ray_jobs.{verb}", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=JOB_SEC,
        check=False,
    )


@pytest.mark.timeout(START_SEC + JOB_SEC)
def test_a_fault_that_only_the_cluster_sees_comes_back_as_one_line(local_head, tmp_path):
    """The whole way there and back: upload, entrypoint, log, exit code."""
    missing = tmp_path / "not-there"
    done = longstrap(
        *("index", "--config", "laptop.yaml", "--run_dir", str(tmp_path / "run")),
        *("--corpus.sources.0.path", str(missing), "--address", local_head.address),
        environment=local_head.environment,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"longstrap: corpus.sources.0.path: '{missing}'" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.timeout(START_SEC + JOB_SEC)
def test_without_the_token_one_line_says_what_to_set(local_head):
    environment = local_head.environment | {"RAY_AUTH_MODE": "disabled"}
    done = longstrap(
        *("index", "--config", "laptop.yaml", "--run_dir", "/x", "--address", local_head.address),
        environment=environment,
    )
    assert done.returncode == 2
    assert "asks for a token; set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.timeout(START_SEC + SYNTHESIS_SEC)
def test_rays_own_command_makes_a_dataset_with_the_real_engine(local_head, tmp_path):
    """What `make demo` does, smaller, as `ray job submit --working-dir .`: SmolLM2, E5, vLLM, nothing doubled."""
    write_corpus(tmp_path / "corpus.jsonl", num_documents=16)
    run_dir = tmp_path / "run"
    lengths = '{"min_tokens": 1500, "max_tokens": 2500}'
    done = subprocess.run(
        [
            *(str(Path(sys.executable).parent / "ray"), "job", "submit", "--address", local_head.address),
            *("--working-dir", str(ROOT), "--", "python", "-m", "ray_jobs.synthesize", "--config", "laptop"),
            *("--run_dir", str(run_dir), "--corpus.sources.0.path", str(tmp_path / "corpus.jsonl")),
            *("--dataset.target_lengths.0", lengths, "--dataset.num_long_input_seeds", "5"),
            *("--dataset.long_output_tokens", '{"min_tokens": 1000, "max_tokens": 4000}'),
            *("--dataset.num_long_output_seeds", "2", "--pipeline.rows_per_batch", "7"),
        ],
        cwd=ROOT,
        env=local_head.environment,
        capture_output=True,
        text=True,
        timeout=SYNTHESIS_SEC,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    examples, rejects = dataset_ids(run_dir)
    assert len(examples) + len(rejects) == 7
    assert examples, f"nothing but rejects: {rejects}"
    assert f"dataset: {len(examples)} examples" in done.stdout
    for row in pq.read_table(run_dir / "dataset" / "examples").to_pylist():
        assert row["generator"] == "bundled:smollm2-135m-instruct"
        assert row["kind"] == "long_output" or 1500 <= row["num_tokens"] <= 2500
