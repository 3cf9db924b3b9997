"""Real Ray heads for tests: on loopback, with a token, ports and a folder of their own, ended with all they started."""

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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

START_SEC, STOP_SEC, ORPHANS_SEC = 120, 15, 5


@dataclass(frozen=True)
class LocalHead:
    """A head that listens on this machine only."""

    address: str
    """Of its dashboard."""
    gcs_address: str
    metrics_port: int
    token: str
    environment: dict[str, str]
    """For whoever talks to it."""
    process: "subprocess.Popen[bytes]"
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


@contextmanager
def local_head(
    *options: str, environment: Mapping[str, str] | None = None, gcs_port: int | None = None
) -> Iterator[LocalHead]:
    """`ray start --head --block`: a process of our own, which takes its children along when it ends.

    Args:
        options: Further options of `ray start`.
        environment: Added to its environment.
        gcs_port: Where one is given to others before it starts.
    """
    # Sockets need a short path, which pytest's are not.
    folder = Path(tempfile.mkdtemp(prefix="ls", dir="/tmp"))
    token = folder / "token"
    token.write_text(secrets.token_hex(32))
    binaries = Path(sys.executable).parent
    inherited = {
        name: value for name, value in os.environ.items() if name not in ("RAY_ADDRESS", "PYTHONPATH")
    }
    shared = inherited | {
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
    ports["port"] = gcs_port or ports["port"]
    log = folder / "head.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [
                *(str(binaries / "ray"), "start", "--head", "--block", f"--temp-dir={folder}"),
                *("--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", "--include-dashboard=true"),
                *("--disable-usage-stats", "--object-store-memory=200000000"),
                *(f"--{name}={port}" for name, port in ports.items()),
                *options,
            ],
            env=shared | dict(environment or {}),
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    address = f"http://127.0.0.1:{ports['dashboard-port']}"
    head = LocalHead(
        address=address,
        gcs_address=f"127.0.0.1:{ports['port']}",
        metrics_port=ports["metrics-export-port"],
        token=token.read_text(),
        environment=shared,
        process=process,
        log=log,
    )
    try:
        _wait_for_dashboard(head)
        yield head
    finally:
        _end(process)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for_dashboard(head: LocalHead) -> None:
    deadline = time.monotonic() + START_SEC
    while time.monotonic() < deadline:
        assert head.process.poll() is None, head.log.read_text()
        request = urllib.request.Request(
            f"{head.address}/api/jobs/", headers={"Authorization": f"Bearer {head.token}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    pytest.fail(f"no dashboard within {START_SEC} s:\n{head.log.read_text()}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        parent = psutil.Process(process.pid)
        family = [parent, *parent.children(recursive=True)]
        process.terminate()
        psutil.wait_procs([parent], STOP_SEC)
        # What it left behind had its chance.
        for left in psutil.wait_procs(family, ORPHANS_SEC)[1]:
            left.kill()
    process.wait()
