"""The servers that are compared: vLLM's own, and the same engine in Ray Serve, as `longstrap serve` starts it."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from app.models.places import resolve_model
from benchmarks.record import ROOT, child_environment

MODEL = "bundled:smollm2-135m-instruct"
NAME = "base"
MAX_TOKENS = 8192
MAX_CONCURRENT = 16
KV_CACHE_GIB = 2
START_TIMEOUT_SEC = 600.0
STOP_TIMEOUT_SEC = 90.0


@contextmanager
def bare_server(log: Path, caches_prefixes: bool) -> Iterator[str]:
    """OpenAI-compatible server of vLLM itself; gives its URL."""
    port = free_port()
    arguments = [
        *(
            "--model",
            resolve_model(MODEL),
            "--served-model-name",
            NAME,
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
        ),
        *("--max-model-len", str(MAX_TOKENS), "--max-num-seqs", str(MAX_CONCURRENT), "--dtype", "bfloat16"),
        *("--enforce-eager", "--enable-prompt-tokens-details", "--disable-uvicorn-access-log"),
        "--enable-prefix-caching" if caches_prefixes else "--no-enable-prefix-caching",
    ]
    environment = {
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": "1",
        "VLLM_CPU_KVCACHE_SPACE": str(KV_CACHE_GIB),
        "VLLM_NO_USAGE_STATS": "1",
    }
    with _running("vllm.entrypoints.openai.api_server", arguments, environment, log):
        yield _wait_for(port, log)


@contextmanager
def ray_server(folder: Path, log: Path, caches_prefixes: bool) -> Iterator[str]:
    """Serve the same engine with Ray Serve and yield its URL."""
    port = free_port()
    served = {
        "model": MODEL,
        "dtype": "bfloat16",
        "max_model_tokens": MAX_TOKENS,
        "max_concurrent_requests": MAX_CONCURRENT,
        "cpu_kv_cache_gib": KV_CACHE_GIB,
        "engine_args": {"enforce_eager": True, "enable_prefix_caching": caches_prefixes},
    }
    recipe = {
        "run_dir": str(folder / "run"),
        "serve": {"models": {NAME: served}, "port": port},
        "ray": {"num_cpus": 4, "object_store_mb": 200, "temp_dir": str(folder / "ray")},
    }
    file = folder / "serve.yaml"
    file.write_text(yaml.safe_dump(recipe), "utf-8")
    with _running("ray_jobs.serve", ["--config", str(file)], {}, log):
        yield _wait_for(port, log)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def _running(module: str, arguments: list[str], environment: dict[str, str], log: Path) -> Iterator[None]:
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=child_environment() | environment,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_TIMEOUT_SEC)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(port: int, log: Path) -> str:
    """The URL, once the model answers there."""
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + START_TIMEOUT_SEC
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5.0) as reply:
                if reply.status == 200:
                    return f"{url}/v1"
        except (OSError, urllib.error.HTTPError):
            time.sleep(1.0)
    raise RuntimeError(
        f"no server after {START_TIMEOUT_SEC:g} s:\n{log.read_text('utf-8', 'replace')[-4000:]}"
    )
