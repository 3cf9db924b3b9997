"""Checks the training settings before a worker starts: model, RoPE, layout, workers, memory, sources.

Every fault is a UserError of one line: the field, the value, and what would be right.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.checks import check_held_cpus, check_held_gpus, check_local_labels, check_run_dir
from app.config import EvaluateConfig, RunConfig, StageConfig, TrainConfig
from app.faults import UserError
from app.models.files import find_model
from app.models.places import resolve_model
from app.models.rope import check_served_tokens, rope_of, rope_parameters_of, with_rope
from app.models.shape import shape_of, transformers_config
from app.storage import is_remote
from app.tokens import Tokenizer
from app.training.data.source_checks import check_sources
from app.training.memory.activations import check_tiling
from app.training.memory.check import check_memory
from app.training.parallel.layout import layout_of
from app.training.trackers import check_trackers
from eval.prompt_frame import PromptFrame


def check_training(config: RunConfig, is_dataset_to_come: bool = False) -> None:
    """What the stages need.

    Args:
        config: The run's settings.
        is_dataset_to_come: The run's own dataset is made before.

    Raises:
        UserError: They cannot be trained with these settings.
    """
    check_training_values(config)
    train = _train_of(config)
    _check_workers(config, train)
    check_local_labels({"train.node_labels": train.node_labels})
    check_trackers(train.trackers)
    model, revision = config.trained_model
    field = "train.model" if train.model else "generator.model"
    files = find_model(field, model, revision)
    assert files.config is not None
    settings = transformers_config(field, model, files.config)
    _check_model(train, settings)
    _check_files(config, model, settings)
    check_sources(config, is_dataset_to_come)
    check_run_dir(config)


def check_training_values(config: RunConfig) -> None:
    """Checks that need no files, which also hold for a job that runs elsewhere.

    Raises:
        UserError: A value that no machine can work with.
    """
    train = _train_of(config)
    _ = config.trained_model
    memory = train.memory
    if memory.offload_checkpoints and not memory.checkpoint_activations:
        raise UserError(
            "train.memory.offload_checkpoints: true has no effect while train.memory.checkpoint_activations is "
            "false; set that to true, or this to false"
        )
    if train.attention_kernel == "cudnn" and not train.gpus_per_worker:
        raise UserError(
            "train.attention_kernel: cudnn needs CUDA, and train.gpus_per_worker is 0; leave it out, or set that to 1"
        )
    for index, stage in enumerate(train.stages):
        _check_steps(f"train.stages.{index}", stage)
        _check_groups(f"train.stages.{index}", stage, train.num_workers)


def _train_of(config: RunConfig) -> TrainConfig:
    if config.train is None:
        raise UserError("train: is missing, and there is nothing to train without it; set train.stages")
    return config.train


def _check_steps(field: str, stage: StageConfig) -> None:
    if stage.warmup_steps >= stage.total_steps:
        raise UserError(
            f"{field}.warmup_steps: {stage.warmup_steps} leaves none of the {stage.total_steps} steps of stage "
            f"{stage.name} with the full learning rate; at most {stage.total_steps - 1}"
        )


def _check_groups(field: str, stage: StageConfig, num_workers: int) -> None:
    """Workers without a sequence would be paid for nothing."""
    num_groups = num_workers // stage.sequence_parallel_size
    if stage.sequences_per_step >= num_groups:
        return
    sizes = range(stage.sequence_parallel_size, num_workers + 1)
    size = next(
        size for size in sizes if num_workers % size == 0 and num_workers // size <= stage.sequences_per_step
    )
    raise UserError(
        f"{field}.batch_tokens: {stage.batch_tokens} holds {stage.sequences_per_step} sequences a step for "
        f"{num_groups} groups of workers (train.num_workers {num_workers} / sequence_parallel_size "
        f"{stage.sequence_parallel_size}), some of which would never have one; at least "
        f"{num_groups * stage.max_seq_tokens}, or sequence_parallel_size {size}, or fewer workers"
    )


def _check_workers(config: RunConfig, train: TrainConfig) -> None:
    num_workers = train.min_workers or train.num_workers
    workers = f"{num_workers} training workers of {train.cpus_per_worker:g} CPUs"
    remedy = ", or fewer train.num_workers"
    check_held_cpus(config, num_workers * train.cpus_per_worker, workers, remedy)
    workers = f"{num_workers} workers of {train.gpus_per_worker:g}"
    check_held_gpus("train.gpus_per_worker", num_workers * train.gpus_per_worker, workers)


def _check_model(train: TrainConfig, config: Any) -> None:
    from app.training.architecture import check_architecture
    from app.training.parallel.cudnn_kernel import takes_heads

    check_architecture(config)
    head_dim = shape_of(config).head_dim
    if train.attention_kernel == "cudnn" and not takes_heads(head_dim):
        raise UserError(
            f"train.attention_kernel: cudnn takes no heads of {head_dim}, which {config.model_type} has; leave it out"
        )
    if train.router_loss_weight and not hasattr(config.get_text_config(), "router_aux_loss_coef"):
        raise UserError(
            f"train.router_loss_weight: {train.router_loss_weight:g} is of a loss that {config.model_type} has not; "
            f"leave it out"
        )
    if train.memory.mlp_tile_tokens is not None:
        check_tiling(config)
    shape = shape_of(config)
    for index, stage in enumerate(train.stages):
        field = f"train.stages.{index}"
        final = with_rope(config, rope_parameters_of(config, train.stages, index), stage.max_seq_tokens)
        check_served_tokens(final, field, stage.max_seq_tokens)
        if stage.rope_parameters is not None:
            _check_block(config, final, field, stage)
        with _named(field):
            layout_of(
                stage.sequence_parallel_size,
                stage.sequence_parallel_mode,
                shape.num_heads,
                stage.ulysses_size,
            )
        check_memory(train, field, stage, shape)


def _check_block(config: Any, final: Any, field: str, stage: StageConfig) -> None:
    """A block of RoPE that the model cannot compute with."""
    from app.training.architecture import check_architecture

    try:
        check_architecture(final)
    except UserError as error:
        reason = str(error).removeprefix("train.model: ")
        raise UserError(
            f"{field}.rope_parameters: {rope_of(final)} does not suit {config.model_type}: {reason}"
        ) from error


def _check_files(run_config: RunConfig, model: str, config: Any) -> None:
    """Weights and tokenizer, where they are here: a model in a far place is looked at once its files have come."""
    from app.training.base_weights import check_weights

    if is_remote(model) or not Path(folder := resolve_model(model)).is_dir():
        return
    check_weights(model, folder, config)
    if not (Path(folder) / "tokenizer.json").exists():
        return
    num_ids = Tokenizer(model).num_ids
    if num_ids > config.vocab_size:
        raise UserError(
            f"train.model: {model!r} has a tokenizer of {num_ids} ids, and its config.json a vocab_size of "
            f"{config.vocab_size}; give a model whose tokenizer is its own"
        )
    if any(stage.rope_theta == "search" for stage in _train_of(run_config).stages):
        # The search asks needles as the evaluation does.
        PromptFrame(Tokenizer(model), (run_config.evaluate or EvaluateConfig()).template)


@contextmanager
def _named(field: str) -> Iterator[None]:
    """Errors of what knows no stage, with the stage's name in the settings."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{field}.{error}") from error
