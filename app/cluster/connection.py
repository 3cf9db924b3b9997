"""The only module that connects to Ray: to the cluster of a submitted job, a running cluster, or a new local Ray."""

import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import ray
from ray.data import DataContext
from ray.exceptions import RayError

from app.cluster.ray_messages import without_harmless_errors
from app.cluster.waiting import waiting
from app.config import RayConfig, ray_address
from app.faults import UserError, one_line

TRY_SEC, PAUSE_SEC = 15.0, 1.0
"""How long a port that does not answer is tried: a head may be starting. And the pause between."""
MAX_REASON_CHARS = 200

PROXY_CALLBACK = {"RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "app.serving.proxy:middlewares"}
"""Of Ray Serve, read where a node's processes start; on a cluster of others the files that start it set it."""

STARTUP_CONCURRENCY = "RAY_worker_maximum_startup_concurrency"
"""Of Ray: how many worker processes may be starting at a time."""


@contextlib.contextmanager
def connect(settings: RayConfig) -> Iterator[None]:
    """Be connected to Ray inside the block.

    Where RAY_ADDRESS is set (`ray job submit` does it) to that cluster, otherwise to a Ray started for this
    block on this machine. Workers find Longstrap's code in the job's working dir or in their environment.

    Raises:
        UserError: no Ray answers at RAY_ADDRESS, or none starts here.
    """
    address = ray_address()
    with without_harmless_errors():
        with _own_sigterm():
            if address is None:
                _start(settings)
            else:
                _join(address)
        _quiet_ray_data()
        try:
            yield
        finally:
            ray.shutdown()


@contextlib.contextmanager
def _own_sigterm() -> Iterator[None]:
    """Ray puts its own handler in, which ends a driver with a code that says nothing."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        # None: it was put in by something else than Python.
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _start(settings: RayConfig) -> None:
    os.environ.update(PROXY_CALLBACK)
    if settings.num_cpus:
        # Ray expects no more workers than cores to start at once, and warns of those that more logical CPUs bring.
        os.environ.setdefault(STARTUP_CONCURRENCY, str(settings.num_cpus))
    try:
        with waiting("starting Ray on this machine"):
            ray.init(
                address="local",
                num_cpus=settings.num_cpus,
                object_store_memory=settings.object_store_mb * 1_000_000
                if settings.object_store_mb
                else None,
                _temp_dir=str(Path(settings.temp_dir).expanduser()) if settings.temp_dir else None,
                include_dashboard=False,
                logging_level=logging.ERROR,
                log_to_driver=False,
            )
    except Exception as error:
        if not _is_rays(error):
            raise
        raise UserError(
            f"ray: it does not start on this machine ({_reason(error)}); give the same command again when the machine "
            f"is less busy, and look at memory and at the disk of ray.temp_dir"
        ) from error


def _join(address: str) -> None:
    if "://" in address and not address.startswith("ray://"):
        raise UserError(
            f"RAY_ADDRESS: {address!r} is a dashboard's address; unset it and give `--address {address}`, "
            f"or set RAY_ADDRESS=auto on the head node"
        )
    try:
        with waiting(f"waiting for Ray at RAY_ADDRESS {address}"):
            if address != "auto":
                _try_port(address)
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
    except Exception as error:
        if not _is_rays(error):
            raise
        raise UserError(
            f"RAY_ADDRESS: no Ray answers at {address!r} ({_reason(error)}); start one there, or unset it to run on "
            f"this machine"
        ) from error


def _try_port(address: str) -> None:
    """Whether anything listens there, as Ray itself asks for minutes and in silence.

    Raises:
        OSError: nothing does.
        ValueError: it is no address.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 2**16:
        raise ValueError("it is not HOST:PORT, for example 10.0.0.1:6379")
    deadline = time.monotonic() + TRY_SEC
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=TRY_SEC / 3).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(PAUSE_SEC)


def _is_rays(error: Exception) -> bool:
    """Whether Ray's start failed, not our call of it; Ray raises bare Exceptions too."""
    return isinstance(error, OSError | RuntimeError | ValueError | RayError) or type(error) is Exception


def _reason(error: Exception) -> str:
    text = one_line(error)
    return text if len(text) <= MAX_REASON_CHARS else f"{text[: MAX_REASON_CHARS - 1]}…"


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
