"""Lists a folder's checkpoints, tells which are complete, and removes old ones.

FOLDER/step-00000123/                 shards and their index, as torch's distributed checkpoints have them
FOLDER/step-00000123/_complete.json   written last: step, progress, number of processes, every file's size and checksum
"""

import re

import pyarrow.fs as pafs

from app.faults import UserError
from app.records.training import CheckpointRecord
from app.run import COMPLETE_FILE
from app.storage import Folder

DAMAGED_FILE = "_damaged.json"
_STEP_FOLDER = re.compile(r"step-(\d{8,})")


def step_folder(folder: Folder, step: int) -> Folder:
    """Folder of the checkpoint of a step."""
    return folder / f"step-{step:08d}"


def complete_checkpoint(
    folder: Folder, step: int, progress: dict[str, int], num_processes: int, checksums: dict[str, int]
) -> None:
    """Declare a checkpoint whole, now that all its files are there.

    Args:
        folder: Of the stage's checkpoints.
        step: Whose.
        progress: Goes into the record.
        num_processes: That have written it.
        checksums: Of every file, by its name.
    """
    place = step_folder(folder, step)
    record = CheckpointRecord(
        step=step,
        progress=progress,
        num_processes=num_processes,
        files=_file_sizes(place),
        checksums=checksums,
    )
    record.write(place, COMPLETE_FILE)


def read_record(folder: Folder, step: int) -> CheckpointRecord | None:
    """Record of a checkpoint; None if a part of it is missing or truncated, or if it was never completed."""
    place = step_folder(folder, step)
    if not place.exists(COMPLETE_FILE):
        return None
    try:
        record = CheckpointRecord.read(place, COMPLETE_FILE)
    except UserError:
        # Storage without whole writes: the record itself is cut off.
        return None
    sizes = _file_sizes(place)
    is_whole = all(sizes.get(name) == size for name, size in record.files.items())
    return record if is_whole else None


def newest_checkpoint(folder: Folder) -> int | None:
    """Step of the newest complete checkpoint; None if there is none."""
    return next((step for step in _steps(folder) if read_record(folder, step) is not None), None)


def discard_damaged(folder: Folder, step: int) -> None:
    """Take a checkpoint whose files are not what was written out of those that count; they stay to be looked at."""
    place = step_folder(folder, step)
    place.filesystem.move(place.file(COMPLETE_FILE), place.file(DAMAGED_FILE))


def remove_superseded(folder: Folder, num_kept: int) -> None:
    """Delete all whole checkpoints but the newest `num_kept`, and what is not whole and older than the newest."""
    steps = _steps(folder)
    whole = [step for step in steps if read_record(folder, step) is not None]
    kept = whole[:num_kept]
    for step in steps:
        if whole and step < whole[0] and step not in kept:
            delete_checkpoint(folder, step)


def delete_checkpoint(folder: Folder, step: int) -> None:
    """Delete what is there of a checkpoint, its record first: a deletion that is cut off leaves none that counts."""
    place = step_folder(folder, step)
    if place.exists(COMPLETE_FILE):
        place.filesystem.delete_file(place.file(COMPLETE_FILE))
    place.delete()


def _steps(folder: Folder) -> list[int]:
    """Steps that have a folder, newest first."""
    selector = pafs.FileSelector(folder.path, allow_not_found=True)
    names = [_STEP_FOLDER.fullmatch(info.base_name) for info in folder.filesystem.get_file_info(selector)]
    return sorted((int(name[1]) for name in names if name), reverse=True)


def _file_sizes(place: Folder) -> dict[str, int]:
    selector = pafs.FileSelector(place.path, allow_not_found=True)
    infos = place.filesystem.get_file_info(selector)
    return {info.base_name: info.size for info in infos if info.is_file}
