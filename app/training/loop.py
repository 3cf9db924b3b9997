"""Trains one stage in one of its workers, from the previous weights to the export.

Plain torch.distributed: Ray starts it (`app.training.stages`), and so may torchrun.
"""

import resource
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.tensor import distribute_tensor

from app.config import StageConfig, TrainConfig
from app.machine import peak_flops_of
from app.models.places import resolve_model
from app.models.rope import check_served_tokens, rope_parameters_of, with_rope
from app.models.shape import ModelShape, shape_of
from app.progress.attempts import Report
from app.run import DATA_DIR
from app.storage import Folder
from app.training.base_weights import load_decoder
from app.training.batches import sequences_of_step
from app.training.checkpoints.checkpoints import Checkpoints
from app.training.data.sequence_store import SequenceStore
from app.training.experts import router_loss_weight_of
from app.training.flops import flops_of_sequence, mfu
from app.training.memory.activations import save_activation_memory
from app.training.metrics import MetricsLog, StepClock, StepMetrics, expert_loads
from app.training.model import LanguageModel, build_decoder, shard_model
from app.training.parallel.kernels import kernel_of
from app.training.parallel.layout import layout_of
from app.training.parallel.leader import run_on_leader
from app.training.parallel.process_groups import Workers, join_workers
from app.training.schedule import learning_rate_at
from app.training.step import NonFiniteError, StepResult, build_optimizer, train_step
from app.training.trackers import Tracker, open_trackers

CHECKPOINTS_DIR = "checkpoints"
DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


class StoppedError(RuntimeError):
    """The stage cannot go on: another try would meet the same batch and the same numbers."""


@dataclass(frozen=True)
class StageTask:
    """Everything that a worker needs to know to train a stage."""

    train: TrainConfig
    index: int
    """Index of the stage, counted from 0."""
    model: str
    """Model before the first stage."""
    revision: str | None
    folder: Folder
    """Folder of the stage: data, checkpoints, metrics, export."""
    previous: Folder | None
    """Folder of the previous stage, whose weights this one starts from."""
    run_name: str
    log_interval_sec: float
    searched_ropes: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Stage → the RoPE parameters that its search found."""

    @property
    def stage(self) -> StageConfig:
        return self.train.stages[self.index]


class StageTrainer:
    """Model, optimizer and data of one stage on one worker.

    Args:
        task: What to train.
        workers: Who trains together.
        report: Takes a line for the person who watches; called by the leader only.
    """

    def __init__(self, task: StageTask, workers: Workers, report: Report) -> None:
        self.task, self.stage, self.workers = task, task.stage, workers
        self.sequences = SequenceStore(task.folder / DATA_DIR)
        self.config = config_of_stage(task)
        self.shape: ModelShape = shape_of(self.config)
        self.model = build_model(task, self.config, workers)
        self.optimizer = build_optimizer(self.model, task.train.optimizer)
        self.checkpoints = Checkpoints(
            task.folder / CHECKPOINTS_DIR, task.train.num_checkpoints_kept, workers, report
        )
        self.step, self.tokens_seen = 0, 0
        self._report = report
        self._clock = StepClock(task.log_interval_sec)
        self._log = MetricsLog(task.folder)
        self._trackers: list[Tracker] = []

    def run(self) -> None:
        """Train from the newest checkpoint, or the weights before, to the stage's last step.

        Raises:
            StoppedError: The loss or the gradients are no numbers; the batch's ids are in `failures/`.
        """
        self._resume()
        if self.workers.is_leader:
            kernel = kernel_of(self.workers.device, self.task.train.attention_kernel)
            self._report(f"stage {self.stage.name}: attention by {kernel.describe()}")
        stage, every = self.stage, self.task.train.steps_per_checkpoint
        while self.step < stage.total_steps:
            metrics = self.train_step()
            if self.workers.is_leader:
                self._tell(metrics)
            if self.step % every == 0 or self.step == stage.total_steps:
                # First the metrics: those of steps that a checkpoint covers must not be lost with this process.
                self._write_metrics()
                self.checkpoints.save(
                    self.step,
                    self.model,
                    self.optimizer,
                    {"step": self.step, "tokens_seen": self.tokens_seen},
                )
        self.checkpoints.close()
        for tracker in self._trackers:
            tracker.close()

    def train_step(self) -> StepMetrics:
        """One optimizer step on the next batch."""
        self._clock.start()
        stage, step = self.stage, self.step
        learning_rate = learning_rate_at(stage, step)
        try:
            result = train_step(
                self.model,
                self.optimizer,
                self.sequences,
                step,
                stage.sequences_per_step,
                self.workers,
                learning_rate=learning_rate,
                max_grad_norm=self.task.train.optimizer.max_grad_norm,
                router_loss_weight=router_loss_weight_of(self.config, self.task.train.router_loss_weight),
            )
        except NonFiniteError as error:
            raise StoppedError(self._record_failure(error)) from error
        self.step += 1
        self.tokens_seen += stage.batch_tokens
        return self._measure(step, result, learning_rate)

    def _record_failure(self, error: NonFiniteError) -> str:
        """Write down which batch it was; what is to be told."""
        indices = sequences_of_step(self.step, self.stage.sequences_per_step)
        failures = self.task.folder / "failures"
        name = f"step-{self.step:08d}.json"
        if self.workers.is_leader:
            self._log.write()
            batch = [
                {"sequence": index, "example_ids": self.sequences.example_ids(index)} for index in indices
            ]
            record = {"step": self.step, "what": error.what, "value": str(error.value), "batch": batch}
            failures.write_json(name, record)
        return (
            f"stage {self.stage.name}: the {error.what} of step {self.step} is {error.value}; the batch's ids are in "
            f"{(failures / name).uri}"
        )

    def _measure(self, step: int, result: StepResult, learning_rate: float) -> StepMetrics:
        timing = self._clock.stop(self.stage.total_steps - self.step)
        workers, stage = self.workers, self.stage
        flops = sum(
            flops_of_sequence(self.shape, [*map(int, self.sequences.starts(index)), stage.max_seq_tokens])
            for index in sequences_of_step(step, stage.sequences_per_step)
        )
        return StepMetrics(
            stage=stage.name,
            step=self.step,
            num_steps=stage.total_steps,
            loss=result.loss,
            learning_rate=learning_rate,
            grad_norm=result.grad_norm,
            tokens_seen=self.tokens_seen,
            tokens_per_sec_per_device=stage.batch_tokens / timing.step_sec / workers.size,
            mfu=mfu(flops, timing.step_sec, workers.size, self._peak_flops()),
            peak_memory_bytes=round(workers.maximum(peak_memory_bytes(workers.device))),
            step_sec=timing.step_sec,
            sec_left=timing.sec_left,
            is_gpu=workers.device.type == "cuda",
            **expert_loads(result.expert_counts),
        )

    def _peak_flops(self) -> float | None:
        if self.task.train.peak_tflops is not None:
            return self.task.train.peak_tflops * 1e12
        if self.workers.device.type != "cuda":
            return None
        return peak_flops_of(torch.cuda.get_device_name(self.workers.device))

    def _resume(self) -> None:
        newest = self.checkpoints.newest()
        if newest is not None:
            progress = self.checkpoints.load(newest, self.model, self.optimizer)
            self.step, self.tokens_seen = progress["step"], progress["tokens_seen"]
        elif self.task.previous is not None:
            before = self.task.previous / CHECKPOINTS_DIR
            # Its last one: an older one would be whole, but not what the stage was recorded as.
            last_step = self.task.train.stages[self.task.index - 1].total_steps
            self.checkpoints.load_weights(before, last_step, self.model)
        if self.workers.is_leader:
            self._log.start(self.step)
            names = self.task.train.trackers
            self._trackers = open_trackers(
                names,
                self.task.folder,
                f"{self.task.run_name}/{self.stage.name}",
                self.task.train.model_dump(),
            )
            if newest is not None:
                self._report(f"stage {self.stage.name}: resuming after step {self.step}")

    def _tell(self, metrics: StepMetrics) -> None:
        self._log.add(metrics)
        if self._clock.is_time_to_log():
            self._log.write()
        for tracker in self._trackers:
            tracker.log(metrics)
        self._report(metrics.line())

    def _write_metrics(self) -> None:
        if self.workers.is_leader:
            self._log.write()


def start_trainer(task: StageTask, device: torch.device, report: Report) -> StageTrainer | None:
    """Join the other workers and build this one's part; None if this worker is not needed."""
    stage = task.stage
    num_heads = int(config_of_stage(task).num_attention_heads)
    layout = layout_of(
        stage.sequence_parallel_size, stage.sequence_parallel_mode, num_heads, stage.ulysses_size
    )
    workers = join_workers(layout, device)
    return None if workers is None else StageTrainer(task, workers, report)


def config_of_stage(task: StageTask) -> Any:
    """Configuration of transformers that the stage trains and exports with.

    Raises:
        UserError: the stage's RoPE cannot be had, or not be served at its length.
    """
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(
        resolve_model(task.model), revision=task.revision, trust_remote_code=False
    )
    parameters = rope_parameters_of(config, task.train.stages, task.index, task.searched_ropes)
    final = with_rope(config, parameters, task.stage.max_seq_tokens)
    check_served_tokens(final, f"train.stages.{task.index}", task.stage.max_seq_tokens)
    return final


def build_model(task: StageTask, config: Any, workers: Workers) -> LanguageModel:
    """The sharded model with the weights before the first stage, or, for a later one, any: they are loaded over."""
    from_base = task.previous is None
    reads_weights = from_base and workers.is_leader
    decoder: Any = None
    if from_base:
        # Its errors are everybody's: the others would wait for weights that never come.
        decoder = run_on_leader(
            workers.host_group,
            lambda: load_decoder(str(resolve_model(task.model)), config, task.revision),
        )
    decoder = decoder or build_decoder(config)
    kernel = kernel_of(workers.device, task.train.attention_kernel)
    model = LanguageModel(decoder, task.train.memory.loss_chunk_tokens, kernel)
    weights = (
        {name: parameter.detach() for name, parameter in model.named_parameters()} if reads_weights else {}
    )
    memory = task.train.memory
    save_activation_memory(
        model.layers,
        checkpoint_layers=memory.checkpoint_activations,
        offload=memory.offload_checkpoints,
        mlp_tile_tokens=memory.mlp_tile_tokens,
        keep_attention=memory.keep_attention,
    )
    shard_model(model, workers.mesh, DTYPES[task.train.dtype], memory.offload_optimizer)
    if from_base:
        _spread_weights(model, weights, workers)
    return model


@torch.no_grad()
def _spread_weights(model: LanguageModel, weights: dict[str, torch.Tensor], workers: Workers) -> None:
    """Hand the leader's weights to all ranks, one parameter at a time: only one host must hold the whole model."""
    for name, parameter in model.named_parameters():
        whole = (
            weights[name].to(workers.device)
            if workers.is_leader
            else torch.empty(parameter.shape, dtype=parameter.dtype, device=workers.device)
        )
        shard = distribute_tensor(whole, workers.mesh, parameter.placements)
        parameter.to_local().copy_(shard.to_local())
    saved = model.state_dict().keys()
    for name, buffer in model.named_buffers():
        # Of a router's, for example. All others are computed from the configuration.
        if name in saved:
            whole = buffer.cpu()
            dist.broadcast(whole, src=0, group=workers.host_group)
            buffer.copy_(whole)


def peak_memory_bytes(device: torch.device) -> int:
    """Peak memory of this process: of its GPU, or of the host if it has none."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
