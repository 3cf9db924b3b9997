"""The chain of stages: each is a Ray Train run that starts from the weights of the previous one."""

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import ray
import ray.train
import ray.train.torch
from ray.train import FailureConfig, ScalingConfig
from ray.train import RunConfig as RayRunConfig
from ray.train.torch import TorchConfig, TorchTrainer

from app.cluster.faults import users_faults
from app.config import RunConfig, TrainConfig
from app.faults import UserError, one_line
from app.models.files import read_model
from app.models.places import resolve_model
from app.progress.attempts import Report
from app.records.training import StageRecord
from app.run import EXPORT_DIR, Artefact, Run, check_claim
from app.training.data.inputs import fingerprints_of_tokens
from app.training.data.preparation import check_mixes, prepare_stage, prepare_tokens
from app.training.data.sources import used_sources
from app.training.dry_run import dry_run_stage
from app.training.finishing import finish_stage
from app.training.identities import identity_of_stage
from app.training.loop import StageTask, StoppedError, start_trainer
from app.training.rope_search import ropes_of_stages, search_rope, searched_ropes

OUTCOME_FILE = "outcome.json"
STOPPED_FILE = "stopped.json"
RAY_DIR = "_ray"
POLL_SEC = 0.5


@dataclass(frozen=True)
class _Assignment:
    """Arguments of every worker."""

    task: StageTask
    history: list[StageRecord]
    """Records of the stages before, for the model card."""
    lines: Any
    """The actor that takes lines for the person who watches."""


def train(config: RunConfig, run: Run, report: Report) -> None:
    """Train all stages that are not complete yet, one after the other.

    Raises:
        UserError: The run was made with other settings, or the data cannot fill a stage.
        RuntimeError: A stage stopped, with the reason.
    """
    assert config.train is not None
    prepare_training(config, run, report)
    for index in range(len(config.train.stages)):
        train_stage(config, run, index, report)
    if not config.train.dry_run:
        report(f"model     {(run.stage(config.train.stages[-1].name).folder / EXPORT_DIR).uri}")


def prepare_training(config: RunConfig, run: Run, report: Report) -> None:
    """Tokenize what the stages are made of, and see that each may go on and that it is enough for all of them.

    Raises:
        UserError: The run was made with other settings, or the data cannot fill a stage.
    """
    prepare_tokens(config, run, report)
    check_stages(config, run)
    check_mixes(config, run)


def check_stages(config: RunConfig, run: Run) -> None:
    """Refuse stages that were begun with other settings or after other stages, before days go into an earlier one.

    Args:
        config: The run's settings.
        run: Its sources' tokens are complete.

    Raises:
        UserError: Names the stage and what differs.
    """
    assert config.train is not None
    for index, stage in enumerate(config.train.stages):
        check_claim(run.stage(stage.name).folder, _identity_of(config, run, index))


def train_stage(config: RunConfig, run: Run, index: int, report: Report) -> None:
    """Train one stage and export it; at once if it is complete.

    Args:
        config: The run's settings.
        run: The run. Its training data is prepared, and the previous stages are complete.
        index: Index of the stage.
        report: Takes lines for the person who watches.

    Raises:
        UserError: The stage was made with other settings.
        RuntimeError: It stopped, with the reason.
    """
    assert config.train is not None
    stages = config.train.stages
    artefact = run.stage(stages[index].name)
    if stages[index].rope_theta == "search" and not config.train.dry_run:
        search_rope(config, run, index, _base_config(config), report)
    # A dry run does not search: it takes the rule's base, and leaves the stage's folder to whoever has.
    if not config.train.dry_run or _has_ropes(config, run, index):
        artefact.claim(_identity_of(config, run, index))
    if artefact.is_complete():
        report(f"stage {stages[index].name}: complete")
        return
    prepare_stage(config, run, stages[index], report)
    is_dry = config.train.dry_run
    history = [] if is_dry else [run.stage(stage.name).record() for stage in stages[:index]]
    _fit(config.train, _Assignment(_task(config, run, index), history, None), run, report)
    if not is_dry:
        _complete(artefact)


def _task(config: RunConfig, run: Run, index: int) -> StageTask:
    assert config.train is not None
    stages = config.train.stages
    model, revision = config.trained_model
    has_previous = index > 0 and not config.train.dry_run
    return StageTask(
        train=config.train,
        index=index,
        model=_absolute(model),
        revision=revision,
        folder=run.stage(stages[index].name).folder,
        previous=run.stage(stages[index - 1].name).folder if has_previous else None,
        run_name=run.folder.path.rpartition("/")[2],
        log_interval_sec=config.progress.log_interval_sec,
        searched_ropes=searched_ropes(config, run),
    )


def _absolute(model: str) -> str:
    # Workers run in folders of their own.
    return os.path.abspath(model) if os.path.isdir(model) else model  # noqa: PTH100, PTH112


def _base_config(config: RunConfig) -> Any:
    """Configuration of transformers of the model before the first stage."""
    from transformers import AutoConfig

    model, revision = config.trained_model
    return AutoConfig.from_pretrained(resolve_model(model), revision=revision, trust_remote_code=False)


def _has_ropes(config: RunConfig, run: Run, index: int) -> bool:
    """Whether the RoPE of all stages up to this one is known, as searches that are to come don't decide it."""
    assert config.train is not None
    searched = searched_ropes(config, run)
    return all(
        stage.rope_theta != "search" or stage.name in searched for stage in config.train.stages[: index + 1]
    )


def _identity_of(config: RunConfig, run: Run, index: int) -> dict[str, Any]:
    """All that decides what a stage is; the tokens of all sources are complete."""
    assert config.train is not None
    ropes = ropes_of_stages(config, _base_config(config), searched_ropes(config, run))
    tokens = fingerprints_of_tokens(run, used_sources(config.train))
    files = read_model("train.model", *config.trained_model)
    return identity_of_stage(config, index, tokens, ropes, files.config or {})


def _complete(artefact: Artefact[StageRecord]) -> None:
    folder = artefact.folder
    artefact.complete(StageRecord.read(folder, OUTCOME_FILE))
    folder.filesystem.delete_file(folder.file(OUTCOME_FILE))


def _fit(train_config: TrainConfig, assignment: _Assignment, run: Run, report: Report) -> None:
    """One Ray Train run; returns when the stage is trained and exported."""
    task = assignment.task
    if task.folder.exists(STOPPED_FILE):
        task.folder.filesystem.delete_file(task.folder.file(STOPPED_FILE))
    # Imports of a worker would break in another folder.
    os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
    ray_folder = run.folder / "train" / RAY_DIR
    with _watch(report) as lines:
        trainer = TorchTrainer(
            _work,
            train_loop_config={"assignment": _Assignment(task, assignment.history, lines)},
            torch_config=TorchConfig(
                backend="cpu:gloo,cuda:nccl" if train_config.gpus_per_worker else "gloo"
            ),
            scaling_config=ScalingConfig(
                num_workers=_num_workers(train_config),
                use_gpu=train_config.gpus_per_worker > 0,
                resources_per_worker={"CPU": train_config.cpus_per_worker}
                | ({"GPU": train_config.gpus_per_worker} if train_config.gpus_per_worker else {}),
                label_selector=train_config.node_labels or None,
            ),
            run_config=RayRunConfig(
                # Ray resumes nothing here: the stage's own checkpoints do.
                name=f"{task.stage.name}-{time.time_ns()}",
                storage_path=ray_folder.path,
                storage_filesystem=ray_folder.filesystem,
                failure_config=FailureConfig(max_failures=train_config.max_failures),
                worker_runtime_env={"env_vars": _worker_environment(train_config)},
            ),
        )
        with users_faults():
            trainer.fit()
        if fault := ray.get(lines.fault.remote()):
            raise fault
    ray_folder.delete()
    if task.folder.exists(STOPPED_FILE):
        raise RuntimeError(task.folder.read_json(STOPPED_FILE)["reason"])


def _worker_environment(train_config: TrainConfig) -> dict[str, str]:
    """Variables of the workers' processes; they overrule those of the nodes."""
    if not train_config.gpus_per_worker:
        return {}
    # Packed documents want blocks of ever other sizes from a GPU's memory; segments that grow leave no gaps between.
    return {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}


def _num_workers(train_config: TrainConfig) -> int | tuple[int, int]:
    if train_config.min_workers is None or train_config.min_workers == train_config.num_workers:
        return train_config.num_workers
    return train_config.min_workers, train_config.num_workers


def _work(settings: dict[str, Any]) -> None:
    """Main function of each worker."""
    assignment: _Assignment = settings["assignment"]
    lines = assignment.lines
    if ray.get(lines.fault.remote()) is not None:
        # Another try would end as the one before did.
        return
    try:
        _train(assignment)
    except Exception as error:
        name = assignment.task.stage.name
        told = f"stage {name}: a worker failed first with {type(error).__name__}: {one_line(error)}"
        # Waited for: this process may end before the line has left it.
        ray.get(lines.fail.remote(told, error if isinstance(error, UserError) else None))
        raise


def _train(assignment: _Assignment) -> None:
    task, lines = assignment.task, assignment.lines

    def report(line: str) -> None:
        lines.add.remote(line)

    device = ray.train.torch.get_device()
    assert not isinstance(device, list)
    if task.train.dry_run:
        dry_run_stage(task, device, report)
        return
    trainer = start_trainer(task, device, report)
    if trainer is None:
        return
    try:
        trainer.run()
    except StoppedError as error:
        # Another try would meet the same batch: the stage stops instead.
        if trainer.workers.is_leader:
            task.folder.write_json(STOPPED_FILE, {"reason": str(error)})
        return
    outcome = finish_stage(trainer, assignment.history)
    if outcome is not None:
        outcome.write(task.folder, OUTCOME_FILE)


class _Lines:
    """Carries lines from the leading worker to the driver, and the first error of any; none is needed for anything."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._fault: UserError | None = None
        self._has_failed = False

    def add(self, line: str) -> None:
        self._lines.append(line)

    def fail(self, line: str, fault: UserError | None) -> None:
        """A worker has failed: told of the first alone, as the others' errors, and later tries', come of it."""
        if not self._has_failed:
            self._has_failed = True
            self._fault = fault
            if fault is None:
                self._lines.append(line)

    def fault(self) -> UserError | None:
        """What failed first, where the user can mend it."""
        return self._fault

    def take(self) -> list[str]:
        """The lines since last time."""
        lines, self._lines = self._lines, []
        return lines


@contextlib.contextmanager
def _watch(report: Report) -> Iterator[Any]:
    """An actor for lines; while the block runs they are reported."""
    lines = ray.remote(num_cpus=0, max_restarts=-1)(_Lines).remote()
    ended = threading.Event()

    def follow() -> None:
        while not ended.is_set():
            ended.wait(POLL_SEC)
            _report_new(lines, report)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield lines
    finally:
        ended.set()
        thread.join(timeout=30)
        _report_new(lines, report)
        ray.kill(lines)


def _report_new(lines: Any, report: Report) -> None:
    with contextlib.suppress(ray.exceptions.RayError):
        for line in ray.get(lines.take.remote(), timeout=10):
            report(line)
