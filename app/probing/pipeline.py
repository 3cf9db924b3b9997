"""Reads candidates as Ray tasks: on GPU workers where the settings or the cluster have them. What was read is kept."""

from collections.abc import Sequence
from typing import Any

import ray

from app.cluster.faults import users_faults
from app.config import RunConfig
from app.probing.lines import describe_reading
from app.probing.tasks import ReadingTask, read_task
from app.progress.attempts import Report
from app.records.probe import ReadingRecord
from app.storage import Folder

READINGS_DIR = "readings"


def read_all(
    tasks: Sequence[ReadingTask], config: RunConfig, folder: Folder, report: Report
) -> list[ReadingRecord]:
    """The records of all tasks, in their order; each that was read before is taken from the folder.

    Args:
        tasks: What to read.
        config: The run's settings; the workers of `train` say what a task takes.
        folder: Keeps the records.
        report: Takes a line for each reading.

    Raises:
        UserError: A task has raised it.
        RayError: A task has failed otherwise.
    """
    kept = folder / READINGS_DIR
    found: dict[str, ReadingRecord] = {}
    for task in tasks:
        if kept.exists(task.file_name):
            found[task.file_name] = ReadingRecord.read(kept, task.file_name)
    missing = {task.file_name: task for task in tasks if task.file_name not in found}
    remote = ray.remote(read_task).options(**_options(config))
    pending = {remote.remote(task): name for name, task in missing.items()}
    with users_faults():
        while pending:
            done, _ = ray.wait(list(pending), num_returns=1)
            name = pending.pop(done[0])
            record = ray.get(done[0])
            record.write(kept, name)
            report(describe_reading(record))
            found[name] = record
    # The same reading may have another name now.
    return [found[task.file_name].model_copy(update={"name": task.name}) for task in tasks]


def _options(config: RunConfig) -> dict[str, Any]:
    """What a task takes: as much as a training worker, or a GPU if the cluster has any."""
    if config.train is not None:
        resources: dict[str, Any] = {
            "num_cpus": config.train.cpus_per_worker,
            "num_gpus": config.train.gpus_per_worker,
        }
        labels = config.train.node_labels
        return resources | ({"label_selector": labels} if labels else {})
    return {"num_cpus": 1, "num_gpus": min(ray.cluster_resources().get("GPU", 0), 1)}
