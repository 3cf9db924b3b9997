"""Checks that all preflights share: a writable folder, GPUs, labels."""

import math
import os
import re
import uuid
from pathlib import Path

import pyarrow as pa

from app.config import RunConfig, ray_address
from app.faults import UserError, one_line
from app.machine import gpu_memory_bytes
from app.storage import Folder

ELSEWHERE = "submit the job to a cluster with --address http://HEAD:8265"
GPU_DEVICES = ("nvidia[0-9]*", "kfd", "dxg", "dri/renderD*", "accel/accel*")
"""Device files under /dev of machines that may have a GPU."""


_ONE_SLASH = re.compile(r"(s3|gs|gcs|abfs|abfss|hdfs|file):/(?!/)(.*)")


def check_run_dir_name(run_dir: str, field: str = "run_dir") -> None:
    """Refuse a name that is not what it looks like, or that Ray or pyarrow can't take.

    Raises:
        UserError: names the right spelling.
    """
    if slip := _ONE_SLASH.fullmatch(run_dir):
        raise UserError(
            f"{field}: {run_dir!r} has one slash and would be a folder on this machine; give {slip[1]}://{slip[2]}"
        )
    is_empty = not run_dir.strip() or run_dir.rstrip("/").endswith(":")
    if is_empty or "\0" in run_dir or run_dir.encode("utf-8", "replace").decode("utf-8") != run_dir:
        raise UserError(f"{field}: {run_dir!r} is no name of a folder in UTF-8; give another")
    if "://" not in run_dir and "?" in str(Path(run_dir).expanduser().absolute()):
        raise UserError(
            f"{field}: {run_dir!r} has a `?`, which Ray takes for the end of a path; give another name"
        )


def check_run_dir(config: RunConfig) -> None:
    """Write and delete a file. A refused start leaves no folder: one that was not there goes again.

    Raises:
        UserError: This machine can't write there.
    """
    if "://" not in config.run_dir and "?" in Folder(config.run_dir).path:
        raise UserError(
            f"run_dir: {config.run_dir!r} has a question mark, at which Ray ends a path; give a name without one"
        )
    name = f".probe.{uuid.uuid4().hex}"
    try:
        folder = Folder(config.run_dir)
        was_there = folder.exists()
        folder.write_bytes(name, b"")
        folder.filesystem.delete_file(folder.file(name))
        if not was_there:
            folder.delete()
    except (OSError, pa.ArrowInvalid, UserError) as error:
        raise UserError(
            f"run_dir: {config.run_dir!r} can't be written to ({one_line(error)}); "
            f"give a folder where this machine may write"
        ) from error


def check_local_gpus(gpus: dict[str, float]) -> None:
    """A Ray of our own on a machine without a GPU would wait for one forever."""
    if ray_address() is not None or has_gpu():
        return
    for field, num_gpus in gpus.items():
        if num_gpus:
            raise UserError(
                f"{field}: {num_gpus:g} is requested, but this machine has no GPU; give 0, or {ELSEWHERE}"
            )


def check_held_cpus(config: RunConfig, needed: float, holders: str, remedy: str = "") -> None:
    """Who holds its CPUs for good: a Ray of our own with too few would wait forever.

    Args:
        config: The run's settings.
        needed: CPUs that are held at once.
        holders: Who holds them.
        remedy: What else would do than more CPUs.

    Raises:
        UserError: this machine has fewer.
    """
    num_needed, num_cpus = math.ceil(needed), config.ray.num_cpus or os.cpu_count() or 1
    if ray_address() is None and num_cpus < num_needed:
        whose = "" if config.ray.num_cpus else " (this machine's)"
        raise UserError(
            f"ray.num_cpus: {num_cpus}{whose} is too few for {holders}; at least {num_needed}{remedy}"
        )


def check_held_gpus(field: str, needed: float, holders: str) -> None:
    """The same for GPUs; `field` is the setting that asks for them.

    Raises:
        UserError: this machine has fewer.
    """
    if ray_address() is not None or not needed:
        return
    num_needed, num_gpus = math.ceil(needed), len(gpu_memory_bytes())
    if num_gpus < num_needed:
        raise UserError(
            f"{field}: {holders} need {num_needed} GPUs, but this machine has {num_gpus}; give 0 for a CPU, or "
            f"{ELSEWHERE}"
        )


def check_local_labels(labels: dict[str, dict[str, str]]) -> None:
    """A Ray of our own has no labelled node: what asks for one would wait forever.

    Args:
        labels: Setting → the labels that it asks for.

    Raises:
        UserError: One asks for any.
    """
    if ray_address() is not None:
        return
    for field, wanted in labels.items():
        if wanted:
            raise UserError(
                f"{field}: {wanted} is requested, but the local Ray that this job starts has no labels; give {{}}, "
                f"or {ELSEWHERE}"
            )


def has_gpu() -> bool:
    return any(True for pattern in GPU_DEVICES for _ in Path("/dev").glob(pattern))
