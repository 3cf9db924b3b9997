"""Checkpoints of a stage: sharded, written while training continues, loadable with any number of processes."""

import errno
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from app.faults import UserError, one_line
from app.records.training import CheckpointRecord
from app.storage import Folder
from app.training.checkpoints.records import (
    complete_checkpoint,
    delete_checkpoint,
    discard_damaged,
    newest_checkpoint,
    read_record,
    remove_superseded,
    step_folder,
)
from app.training.checkpoints.storage import CheckpointWriter, checksum_of, open_reader
from app.training.checkpoints.weights import distinct_weights
from app.training.model import LanguageModel
from app.training.parallel.leader import ask_leader
from app.training.parallel.process_groups import Workers

T = TypeVar("T")


class Checkpoints:
    """The checkpoints of one stage. Every worker makes this and calls every method, all in the same order.

    Args:
        folder: Holds one folder a checkpoint.
        num_kept: How many whole ones stay.
        workers: All that train.
        report: Takes a line for the person who watches; called by the leader only.
    """

    def __init__(
        self, folder: Folder, num_kept: int, workers: Workers, report: Callable[[str], None] | None = None
    ) -> None:
        self._folder = folder
        self._num_kept = num_kept
        self._num_processes = workers.size
        self._group = workers.storage_group
        self._report = report
        self._completion = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._under_way: Future[None] | None = None

    def save(
        self,
        step: int,
        model: LanguageModel,
        optimizer: torch.optim.Optimizer,
        progress: dict[str, int],
        wait: bool = False,
    ) -> None:
        """Copy the state to the host's memory and begin to write it; it may change as soon as this returns.

        Waits for the save before. The checkpoint counts once `_complete.json` is in it.

        Args:
            step: Optimizer steps done.
            model: Sharded.
            optimizer: The optimizer, after at least one step; before that it has no state.
            progress: Whatever else `load` is to give back.
            wait: Return when it is whole.

        Raises:
            RuntimeError: This one (`wait`) or the one before could not be written, here or by any other worker.
            OSError: On the leader, when it is the storage that fails it.
        """
        assert optimizer.state, "a save before the first step would count that step twice"
        self.finish()
        # What a try that was cut off left would be taken for a part of this one.
        ask_leader(self._group, lambda: delete_checkpoint(self._folder, step))
        writer = CheckpointWriter(step_folder(self._folder, step))
        written = dcp.async_save(_state(model, optimizer), storage_writer=writer, process_group=self._group)
        self._under_way = self._completion.submit(self._complete, written, writer, step, dict(progress))
        if wait:
            self.finish()

    def finish(self) -> None:
        """Wait for the save in progress.

        Raises:
            RuntimeError: It could not be written, here or by any other worker.
            OSError: On the leader, when it is the storage that fails it.
        """
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            with self._folder.writing(""):
                under_way.result()

    def newest(self, folder: Folder | None = None) -> int | None:
        """Step of the newest undamaged checkpoint, the same on all processes; None if there is none.

        Its files are read in full and compared with their checksums. A damaged one is set aside, which is reported.

        Args:
            folder: Checkpoints of another stage. If omitted, this stage's.

        Raises:
            RuntimeError: One could not be read now.
        """
        self.finish()
        place = folder or self._folder
        while (step := ask_leader(self._group, lambda: newest_checkpoint(place))) is not None:
            damaged = self._damaged_files(place, step)
            if not damaged:
                break
            ask_leader(self._group, partial(self._discard, place, step, damaged))
        return step

    def load(self, step: int, model: LanguageModel, optimizer: torch.optim.Optimizer) -> dict[str, int]:
        """Load weights and the optimizer's state in place, and return what `save` was given as progress.

        Raises:
            UserError: There is no complete checkpoint of this step.
            RuntimeError: It can't be read, or is of another model.
        """
        record = self._record(self._folder, step)
        state = _state(model, optimizer)
        self._read(self._folder, step, state)
        _set_weights(model, state["model"])
        set_optimizer_state_dict(model, optimizer, state["optimizer"])
        return record.progress

    def load_weights(self, folder: Folder, step: int, model: LanguageModel) -> None:
        """Load the weights of another stage's checkpoint, in place.

        Raises:
            UserError: There is no complete checkpoint of this step.
            RuntimeError: It can't be read, or is of another model.
        """
        self._record(folder, step)
        if damaged := self._damaged_files(folder, step):
            raise RuntimeError(f"{step_folder(folder, step).uri} is damaged: {_told(damaged)}")
        state = {"model": distinct_weights(model)}
        self._read(folder, step, state)
        _set_weights(model, state["model"])

    def close(self) -> None:
        """`finish`, and no save after it."""
        try:
            self.finish()
        finally:
            self._completion.shutdown()

    def _complete(
        self, written: "Future[Any]", writer: CheckpointWriter, step: int, progress: dict[str, int]
    ) -> None:
        with _readable_errors(f"{step_folder(self._folder, step).uri} could not be written"):
            written.result()
        checksums = self._of_all(writer.checksums)

        def complete() -> None:
            whole = {name: checksum for part in checksums for name, checksum in part.items()}
            complete_checkpoint(self._folder, step, progress, self._num_processes, whole)
            remove_superseded(self._folder, self._num_kept)

        ask_leader(self._group, complete)

    def _damaged_files(self, folder: Folder, step: int) -> list[str]:
        """Names of the files that are not as they were written; each process reads its share of them.

        Raises:
            RuntimeError: Some could not be read now, by whichever process: nothing is known of them.
        """
        expected = self._record(folder, step).checksums
        place, names = step_folder(folder, step), sorted(expected)
        damaged, failure = [], None
        for name in names[dist.get_rank(self._group) :: self._num_processes]:
            try:
                if _checksum(place, name) != expected[name]:
                    damaged.append(name)
            except OSError as error:
                failure = f"{name}: {one_line(error)}"
        found = self._of_all((damaged, failure))
        if failures := [told for _, told in found if told is not None]:
            raise RuntimeError(f"{place.uri} could not be read ({failures[0]}); it is left as it is")
        return sorted(name for part, _ in found for name in part)

    def _discard(self, folder: Folder, step: int, damaged: list[str]) -> None:
        discard_damaged(folder, step)
        if self._report is not None:
            is_last = newest_checkpoint(folder) is None
            self._report(
                f"checkpoint {step_folder(folder, step).uri} is not as it was written ({_told(damaged)}); "
                f"{'there is none before it: the stage begins anew' if is_last else 'the one before it is taken'}"
            )

    def _of_all(self, own: T) -> list[T]:
        """What every process has, by its rank."""
        found: list[Any] = [None] * self._num_processes
        dist.all_gather_object(found, own, group=self._group)
        return found

    def _record(self, folder: Folder, step: int) -> CheckpointRecord:
        def record() -> CheckpointRecord:
            found = read_record(folder, step)
            if found is None:
                raise UserError(f"{step_folder(folder, step).uri} is not a complete checkpoint")
            return found

        self.finish()
        return ask_leader(self._group, record)

    def _read(self, folder: Folder, step: int, state: dict[str, Any]) -> None:
        place = step_folder(folder, step)
        with _readable_errors(f"{place.uri} could not be loaded"):
            dcp.load(state, storage_reader=open_reader(place), process_group=self._group)


def _checksum(place: Folder, name: str) -> int | None:
    """Of a file as it is read; None: it is gone, or the disk has lost a part of it.

    Raises:
        OSError: It can't be read now, as where a store does not answer or this user may not: it may be whole.
    """
    try:
        return checksum_of(place, name)
    except OSError as error:
        if isinstance(error, FileNotFoundError) or error.errno == errno.EIO:
            return None
        raise


def _told(damaged: list[str]) -> str:
    return damaged[0] if len(damaged) == 1 else f"{damaged[0]} and {len(damaged) - 1} more files"


def _state(model: LanguageModel, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    return {"model": distinct_weights(model), "optimizer": get_optimizer_state_dict(model, optimizer)}


def _set_weights(model: LanguageModel, weights: dict[str, Any]) -> None:
    # Not strict as to the second names of tied weights, which are not stored.
    set_model_state_dict(model, weights, options=StateDictOptions(strict=False))


@contextmanager
def _readable_errors(what: str) -> Iterator[None]:
    """Errors of any process, which torch raises as something that is no `Exception`, as a RuntimeError."""
    try:
        yield
    except dcp.CheckpointException as error:
        failures = "; ".join(
            f"worker {rank}: {type(cause).__name__}: {cause}" for rank, (cause, _) in error.failures.items()
        )
        raise RuntimeError(f"{what}: {failures}") from error
