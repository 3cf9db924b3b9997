"""Checks before anything starts that the training sources can be used."""

import re

from app.config import Config, RunConfig
from app.corpus.streams import StorageError
from app.dataset.identity import tokenizer_of
from app.faults import UserError, one_line
from app.records.dataset import DatasetRecord
from app.run import Artefact, Run
from app.tokens import Tokenizer
from app.training.data.sources import list_training_files, used_sources

_FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def check_sources(config: RunConfig, is_dataset_to_come: bool = False) -> None:
    """Look for the files of all sources that a stage mixes in, and at whose tokens the run's dataset counts.

    Args:
        config: The run's settings.
        is_dataset_to_come: The run's own dataset is made before the training; what is known of it is checked.

    Raises:
        UserError: One line with the field, the value and what would be right.
    """
    if config.train is None:
        raise UserError("train: is missing, and there is nothing to train without it; set train.stages")
    model, revision = config.trained_model
    for name in used_sources(config.train):
        if not _FOLDER_NAME.fullmatch(name):
            raise UserError(
                f"train.sources: {name!r} becomes a folder's name; use letters, digits, '.', '_' and '-'"
            )
        if config.train.sources[name].path is not None:
            _check_files(config, name)
        else:
            _check_dataset(config, name, Tokenizer(model, revision), is_dataset_to_come)


def _check_files(config: RunConfig, name: str) -> None:
    """They are there, and the first one opens; all of them would take long on an object store."""
    field = f"train.sources.{name}.path"
    file = list_training_files(config, name)[0]
    try:
        filesystem, path = file.open_filesystem()
        with filesystem.open_input_file(path) as stream:
            stream.read(1)
    except (OSError, StorageError) as error:
        raise UserError(
            f"{field}: {file.name!r} can't be read ({one_line(error)}); give files that every node may read"
        ) from error


def _check_dataset(config: RunConfig, name: str, trained: Tokenizer, is_to_come: bool) -> None:
    dataset = Run(config.run_dir).dataset
    if is_to_come and isinstance(config, Config) and not dataset.is_complete():
        measured = config.tokenizer_model, config.tokenizer_revision
    else:
        require_dataset(name, dataset)
        measured = tokenizer_of(dataset)
    _check_tokenizer(config, dataset, *measured, trained)


def require_dataset(name: str, dataset: Artefact[DatasetRecord]) -> None:
    """A source that stands for the run's own dataset needs it whole.

    Raises:
        UserError: It is not.
    """
    if not dataset.is_complete():
        what = "is not complete" if dataset.folder.exists() else "is not there"
        raise UserError(
            f"train.sources.{name}: stands for the run's own dataset, and {dataset.folder.uri} {what}; finish it "
            f"with `longstrap synthesize`, set train.sources.{name}.path, or give the run_dir of a finished one"
        )


def _check_tokenizer(
    config: RunConfig, dataset: Artefact[DatasetRecord], model: str, revision: str | None, trained: Tokenizer
) -> None:
    if (model, revision) == (trained.model, trained.revision):
        return
    assert config.train is not None
    field = "train.model" if config.train.model else "generator.model"
    if _fingerprint_of(field, trained) != _fingerprint_of("dataset.tokenizer", Tokenizer(model, revision)):
        raise UserError(
            f"{field}: {trained.model!r} has another tokenizer or chat template than {model!r}, whose tokens measure "
            f"{dataset.folder.uri}; train a model with that tokenizer, or make the dataset anew with "
            f"dataset.tokenizer {trained.model} in another run_dir"
        )


def _fingerprint_of(field: str, tokenizer: Tokenizer) -> str:
    try:
        return tokenizer.fingerprint
    except UserError as error:
        reason = one_line(error)[:300]
        raise UserError(
            f"{field}: the tokenizer that measures the dataset can't be compared with the model's ({reason})"
        ) from error
