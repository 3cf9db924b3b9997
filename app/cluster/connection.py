"""The only module that connects to Ray: to the cluster of a submitted job, a running cluster, or a new local Ray."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import ray
from ray.data import DataContext

from app.config import RayConfig, ray_address
from app.faults import UserError


@contextlib.contextmanager
def connect(settings: RayConfig) -> Iterator[None]:
    """Be connected to Ray inside the block.

    Where RAY_ADDRESS is set (`ray job submit` does it) to that cluster, otherwise to a Ray started for this
    block on this machine. Workers find Longstrap's code in the job's working dir or in their environment.

    Raises:
        UserError: No Ray answers at RAY_ADDRESS.
    """
    address = ray_address()
    if address is None:
        _start(settings)
    else:
        _join(address)
    _quiet_ray_data()
    try:
        yield
    finally:
        ray.shutdown()


def _start(settings: RayConfig) -> None:
    ray.init(
        address="local",
        num_cpus=settings.num_cpus,
        object_store_memory=settings.object_store_mb * 1_000_000 if settings.object_store_mb else None,
        _temp_dir=str(Path(settings.temp_dir).expanduser()) if settings.temp_dir else None,
        include_dashboard=False,
        logging_level=logging.ERROR,
        log_to_driver=False,
    )


def _join(address: str) -> None:
    if "://" in address and not address.startswith("ray://"):
        raise UserError(
            f"RAY_ADDRESS: {address!r} is a dashboard's address; unset it and give `--address {address}`, "
            f"or set RAY_ADDRESS=auto on the head node"
        )
    try:
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
    except ConnectionError as error:
        raise UserError(
            f"RAY_ADDRESS: no Ray answers at {address!r}; start one there, or unset it to run on this machine"
        ) from error


def _quiet_ray_data() -> None:
    """Leave the terminal to our own view; Ray Data's log file in the session's folder keeps everything."""
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # It warns, of all things, that its bars are off.
    logging.getLogger("ray.data._internal.progress").setLevel(logging.ERROR)
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setLevel(logging.WARNING)
