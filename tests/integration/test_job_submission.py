"""Jobs through a real local head with token authentication: submitted by Longstrap and by Ray itself."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
START_SEC, STOP_SEC, JOB_SEC = 90, 30, 240


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
        head.send_signal(signal.SIGTERM)
        try:
            head.wait(STOP_SEC)
        except subprocess.TimeoutExpired:
            head.kill()
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


@pytest.mark.skipif(
    find_spec("app.dataset.pipeline") is None, reason="the dataset's pipeline is not there yet"
)
@pytest.mark.timeout(START_SEC + JOB_SEC)
def test_rays_own_command_runs_a_synthesis(local_head, tmp_path):
    done = subprocess.run(
        [
            *(str(Path(sys.executable).parent / "ray"), "job", "submit", "--address", local_head.address),
            *(
                "--working-dir",
                str(ROOT),
                "--",
                "python",
                "-m",
                "ray_jobs.synthesize",
                "--config",
                "laptop.yaml",
            ),
            *("--run_dir", str(tmp_path / "run")),
        ],
        cwd=ROOT,
        env=local_head.environment,
        capture_output=True,
        text=True,
        timeout=JOB_SEC,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "run" / "dataset" / "_complete.json").exists()
