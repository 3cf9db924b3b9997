"""`python -m ray_jobs.serve` with the real vLLM: a process of our own, on ports and in folders of its own."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

ROOT = Path(__file__).parents[2]
KEY = "sk-of-the-test"
START_SEC, STOP_SEC = 600, 120


@dataclass
class Served:
    """A server that answers."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path
    log_folder: Path

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {KEY}"}

    def get(self, path: str, **options: Any) -> httpx.Response:
        """GET a path beside /v1."""
        return httpx.get(self.url.removesuffix("/v1") + path, timeout=30, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        """POST to a path below /v1, with the key."""
        headers = self.headers | options.pop("headers", {})
        return httpx.post(self.url + path, timeout=120, headers=headers, **options)

    def replicas(self, deployment: str) -> list[psutil.Process]:
        """Processes of a deployment's replicas."""
        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if f"ServeReplica:longstrap:{deployment}" in " ".join(child.cmdline()):
                    found.append(child)
            except psutil.Error:
                continue
        return found

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SEC)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serve_smollm2(model: dict[str, Any], **serve: Any) -> Iterator[Served]:
    """Start it and wait until it answers; end it and all of its children."""
    # Sockets need a short path, which pytest's are not.
    folder = Path(tempfile.mkdtemp(prefix="ls", dir="/tmp"))
    port = free_port()
    settings = {
        "run_dir": str(folder / "run"),
        "serve": {
            "port": port,
            "models": {"base": {"model": "bundled:smollm2-135m-instruct"} | model},
            **serve,
        },
        "ray": {"num_cpus": 4, "object_store_mb": 256, "temp_dir": str(folder / "ray")},
        "progress": {"log_interval_sec": 5.0},
    }
    recipe, log = folder / "serve.yaml", folder / "serve.log"
    recipe.write_text(yaml.safe_dump(settings))
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    environment |= {"LONGSTRAP_API_KEY": KEY, "RAY_USAGE_STATS_ENABLED": "0"}
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "ray_jobs.serve", "--config", str(recipe)],
            cwd=ROOT,
            env=environment,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    served = Served(process, f"http://127.0.0.1:{port}/v1", log, folder / "ray")
    children: list[psutil.Process] = []
    try:
        _wait_until_it_answers(served)
        children = psutil.Process(process.pid).children(recursive=True)
        yield served
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        for child in children:
            if child.is_running():
                child.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_it_answers(served: Served) -> None:
    deadline = time.monotonic() + START_SEC
    while time.monotonic() < deadline:
        if served.process.poll() is not None:
            break
        try:
            if served.get("/health").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(1)
    raise AssertionError(f"the server did not answer:\n{served.log.read_text()}")
