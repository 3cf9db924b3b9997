"""What stands beside every measured figure: date, machine, commit, versions; and the processes that are measured."""

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.versions import installed_versions

ROOT = Path(__file__).resolve().parent.parent
_TAIL_CHARS = 4000
_THREADS_AND_CLUSTERS = ("OMP_", "VLLM_", "RAY_", "MKL_", "TORCH_")
_SETTINGS = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
    "RAY_USAGE_STATS_ENABLED": "0",
}


@dataclass(frozen=True)
class Machine:
    """Where it was measured."""

    cpu: str
    num_cores: int
    memory_bytes: int
    system: str
    load_before: float
    """Processes that ran or waited in the minute before: the others on the machine."""


def describe_machine() -> Machine:
    """The machine that this runs on."""
    cpu_info = Path("/proc/cpuinfo")
    lines = cpu_info.read_text("utf-8").splitlines() if cpu_info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return Machine(
        cpu=models[0] if models else platform.processor(),
        num_cores=os.cpu_count() or 0,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        system=f"{platform.system()} {platform.machine()}",
        load_before=round(os.getloadavg()[0], 2),
    )


def describe_commit() -> str:
    """The checkout's commit, followed by `-dirty` if tracked code files differ from it; `unknown` in a copy."""
    try:
        commit = _git("rev-parse", "HEAD")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    changed = _git(
        "status", "--porcelain", "--untracked-files=no", "--", "app", "ray_jobs", "benchmarks/*.py"
    )
    return f"{commit}-dirty" if changed else commit


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def write_result(
    path: Path,
    machine: Machine,
    figures: Mapping[str, float],
    settings: Mapping[str, Any],
    measured: Mapping[str, Any],
    noise: Mapping[str, Any],
) -> None:
    """Write what was measured, and under which conditions.

    Args:
        path: The JSON file.
        machine: Described before anything was started.
        figures: What is claimed.
        settings: What the figures depend on and a reader may want to change.
        measured: The numbers that the figures are made of.
        noise: How far repeated measurements lie apart.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    result = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": asdict(machine),
        "commit": describe_commit(),
        "versions": installed_versions(),
        "settings": dict(settings),
        "figures": {name: _rounded(value) for name, value in figures.items()},
        "measured": _rounded(dict(measured)),
        "noise": _rounded(dict(noise)),
    }
    path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value


def spread(values: Sequence[float]) -> float:
    """Distance between the lowest and the highest of repeated measurements, as a share of their mean."""
    return (max(values) - min(values)) / (sum(values) / len(values))


def child_environment() -> dict[str, str]:
    """Environment of a measured process, whatever this one was started with: threads and clusters are what it sets."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_THREADS_AND_CLUSTERS)}
    return kept | _SETTINGS


def run_measured(
    module: str,
    arguments: Sequence[str],
    log: Path,
    extra: Mapping[str, str] | None = None,
    timeout_sec: float | None = None,
) -> float:
    """Run `python -m MODULE` to its end in a process of its own and return the seconds that it took.

    Args:
        module: Dotted name.
        arguments: Its command line.
        log: Takes what it prints.
        extra: Further variables.
        timeout_sec: End it, and all that it has started, after so long.

    Raises:
        RuntimeError: It failed or took too long; carries the end of the log.
    """
    started = time.perf_counter()
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=child_environment() | dict(extra or {}),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=timeout_sec is not None,
        )
        try:
            code: int | str = process.wait(timeout_sec)
        except subprocess.TimeoutExpired:
            code = f"nothing after {timeout_sec:.0f} s"
        finally:
            if process.poll() is None:
                _end(process, whole_session=timeout_sec is not None)
    if code:
        tail = log.read_text("utf-8", "replace")[-_TAIL_CHARS:]
        raise RuntimeError(f"python -m {module} ended with {code}:\n{tail}")
    return time.perf_counter() - started


def _end(process: subprocess.Popen[bytes], whole_session: bool) -> None:
    """End a process; with its session those that it started, as torchrun's workers would go on waiting."""
    if whole_session:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


@contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """A folder for a measurement; it stays, with its logs, when what is measured fails.

    Args:
        prefix: Of its name, short: Ray's sockets lie in here, and a socket's path must be.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))
    try:
        yield folder
    except RuntimeError:
        say(f"logs are left in {folder}")
        raise
    shutil.rmtree(folder, ignore_errors=True)


def say(text: str) -> None:
    """Tell the person who waits what is being done."""
    print(f"{datetime.now().astimezone():%H:%M:%S} {text}", flush=True)
