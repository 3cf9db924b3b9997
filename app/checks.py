"""Checks that all preflights share: a writable folder, GPUs, labels."""

import uuid
from pathlib import Path

import pyarrow as pa

from app.config import RunConfig, ray_address
from app.faults import UserError, one_line
from app.storage import Folder

GPU_DEVICES = ("nvidia[0-9]*", "kfd", "dxg", "dri/renderD*", "accel/accel*")
"""Device files under /dev of machines that may have a GPU."""


def check_run_dir(config: RunConfig) -> None:
    """Write and delete a file. A refused start leaves no folder: one that was not there goes again.

    Raises:
        UserError: This machine can't write there.
    """
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
                f"{field}: {num_gpus:g} is requested, but this machine has no GPU; give 0, or submit the job "
                f"to a cluster with --address http://HEAD:8265"
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
                f"or submit the job to a cluster with --address http://HEAD:8265"
            )


def has_gpu() -> bool:
    return any(True for pattern in GPU_DEVICES for _ in Path("/dev").glob(pattern))
