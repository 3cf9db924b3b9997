"""Optional trackers for metrics: TensorBoard event files, Weights & Biases."""

import importlib.util
import os
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from app.faults import UserError, one_line
from app.storage import Folder, is_remote
from app.training.metrics import StepMetrics

PACKAGES = {"tensorboard": "tensorboardX", "wandb": "wandb"}
"""Tracker → package it needs. tensorboardX writes TensorBoard's files without TensorBoard, and Ray Train brings it."""
UPLOAD_INTERVAL_SEC = 60.0
TENSORBOARD_DIR = "tensorboard"
WANDB_FILE = "wandb.json"
WANDB_PROJECT = "longstrap"


class Tracker(Protocol):
    """Takes the metrics of every step; used by one process."""

    def log(self, metrics: StepMetrics) -> None: ...

    def close(self) -> None:
        """Write what is not on storage yet."""
        ...


def check_trackers(names: Sequence[str]) -> None:
    """Look whether the trackers' packages are installed; none is imported.

    Raises:
        UserError: One is not.
    """
    for name in names:
        package = PACKAGES[name]
        if importlib.util.find_spec(package) is None:
            raise UserError(
                f"train.trackers: {name} needs the package {package}, which is not installed here; "
                f"run `pip install {package}`, or leave {name} out"
            )


def open_trackers(
    names: Sequence[str], folder: Folder, run_name: str, settings: Mapping[str, Any]
) -> list[Tracker]:
    """Trackers of a stage that begins or goes on.

    Args:
        names: Names as in `train.trackers`.
        folder: Folder of the stage.
        run_name: What a person sees.
        settings: Settings to store with the metrics; recipes contain no secrets.

    Raises:
        UserError: A package is missing, or wandb does not start.
    """
    check_trackers(names)
    openers: dict[str, Callable[[], Tracker]] = {
        "tensorboard": lambda: TensorBoardTracker(folder / TENSORBOARD_DIR),
        "wandb": lambda: WandbTracker(folder, run_name, settings),
    }
    return [openers[name]() for name in names]


class TensorBoardTracker:
    """Writes event files into a folder; on an object store, a copy of them every minute.

    Args:
        folder: Takes one file each time that a stage is started.
        clock: Monotonic seconds.
    """

    def __init__(self, folder: Folder, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._spool = tempfile.TemporaryDirectory(prefix="longstrap-") if is_remote(folder.uri) else None
        self._path = Path(self._spool.name if self._spool else folder.path)
        self._next_upload = clock() + UPLOAD_INTERVAL_SEC
        self._writer: Any = None

    def log(self, metrics: StepMetrics) -> None:
        """Add a step; the first one hides those of earlier starts that come after it."""
        if self._writer is None:
            from tensorboardX import SummaryWriter

            # A name of its own: two starts within a second would write into one file.
            suffix = f".{uuid.uuid4().hex[:8]}"
            self._writer = SummaryWriter(str(self._path), purge_step=metrics.step, filename_suffix=suffix)
        for name, value in metrics.scalars().items():
            self._writer.add_scalar(f"train/{name}", value, metrics.step)
        if self._clock() >= self._next_upload:
            self._next_upload = self._clock() + UPLOAD_INTERVAL_SEC
            self._writer.flush()
            self._upload()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._upload()
        if self._spool is not None:
            self._spool.cleanup()

    def _upload(self) -> None:
        if self._spool is not None:
            for path in self._path.iterdir():
                self._folder.write_bytes(path.name, path.read_bytes())


class WandbTracker:
    """Sends metrics to Weights & Biases; a stage that is started again goes on in its own wandb run.

    Key, project, entity and mode are wandb's own business: WANDB_API_KEY and the like in the environment of the
    workers, or `wandb login`.

    Args:
        folder: The stage's; remembers the id of the wandb run.
        run_name: What a person sees.
        settings: Settings to store with the metrics.

    Raises:
        UserError: wandb does not start.
    """

    def __init__(self, folder: Folder, run_name: str, settings: Mapping[str, Any]) -> None:
        import wandb

        # Only where the user has not named one.
        os.environ.setdefault("WANDB_PROJECT", WANDB_PROJECT)
        if not folder.exists(WANDB_FILE):
            folder.write_json(WANDB_FILE, {"id": uuid.uuid4().hex})
        try:
            self._run: Any = wandb.init(
                id=folder.read_json(WANDB_FILE)["id"],
                resume="allow",
                name=run_name,
                config=dict(settings),
                dir=tempfile.gettempdir() if is_remote(folder.uri) else folder.path,
            )
        except wandb.Error as error:
            raise UserError(
                f"train.trackers: wandb does not start ({one_line(error)}); export WANDB_API_KEY, or "
                f"WANDB_MODE=offline, where the workers run, or leave wandb out"
            ) from error
        # wandb's own steps only grow, and a stage that goes on makes some again.
        self._run.define_metric("*", step_metric="step")

    def log(self, metrics: StepMetrics) -> None:
        self._run.log(
            {"step": metrics.step} | {f"train/{name}": value for name, value in metrics.scalars().items()}
        )

    def close(self) -> None:
        self._run.finish()
