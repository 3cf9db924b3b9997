"""The models to evaluate, the tokenizers that measure their prompts, and their longest lengths."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from app.config import RunConfig
from app.endpoints.models import EndpointModel
from app.faults import UserError
from app.models.files import ModelFiles, find_model, find_tokenizer
from app.run import Run
from app.serving.sources import served_files, served_source, served_tokens, stage_to_come
from app.storage import Folder
from app.tokens import Tokenizer


@dataclass(frozen=True)
class EvaluatedModel:
    """One model at the endpoint."""

    name: str
    """Name of the model at the endpoint."""
    tokenizer: Tokenizer
    files: ModelFiles
    """Facts about the model that the tokenizer belongs to."""
    max_tokens: int | None
    """Longest prompt and answer that it takes; None if unknown."""
    thinking_tokens: int = 0
    """Tokens for its thought, in addition to the length of a sample."""

    def reads(self, length_tokens: int) -> bool:
        """Whether the model can take samples of this length. If its limit is unknown, the endpoint decides."""
        return self.max_tokens is None or length_tokens + self.thinking_tokens <= self.max_tokens


def record_folder(run: Run, model: str, suite: str) -> Folder:
    """Where the records of a model and suite are."""
    return run.evaluation / _folder_name(model) / suite


def _folder_name(model: str) -> str:
    return model.replace("/", "--")


def model_names(config: RunConfig) -> list[str]:
    """Names in `evaluate.models`, or else in `serve.models`, in order. The first is the base."""
    assert config.evaluate is not None
    return list(config.evaluate.models) or list(config.serve.models if config.serve is not None else {})


def evaluated_models(config: RunConfig, may_be_to_come: bool = False) -> list[EvaluatedModel]:
    """The models that are asked, in the order of `model_names`.

    Args:
        config: The run's settings.
        may_be_to_come: Stages that have no export yet are given as they will be.

    Raises:
        UserError: None is named, or one without a tokenizer, or with one that is not there.
    """
    names = model_names(config)
    if not names:
        raise UserError(
            "evaluate.models: is empty, and `serve` names none; give the endpoint's name of each model with its "
            "tokenizer: {NAME: {tokenizer: FOLDER}}"
        )
    _check_folders(names)
    return [_evaluated_model(config, name, may_be_to_come) for name in names]


def _check_folders(names: Sequence[str]) -> None:
    """Refuse names whose records would lie in one folder, or outside of the run."""
    models: dict[str, str] = {}
    for name in names:
        folder = _folder_name(name)
        if folder in ("", ".", ".."):
            raise UserError(
                f"evaluate.models: {name!r} is no name of a folder for its records; give another one"
            )
        if folder in models:
            raise UserError(
                f"evaluate.models: {name!r} and {models[folder]!r} would share the folder {folder} for their records; "
                f"evaluate one of them in another run_dir"
            )
        models[folder] = name


def _evaluated_model(config: RunConfig, name: str, may_be_to_come: bool) -> EvaluatedModel:
    assert config.evaluate is not None
    # The models of an endpoint are there already, whoever serves them; an export of this run's is not asked for.
    may_be_to_come = may_be_to_come or config.evaluate.url is not None
    settings = config.evaluate.models.get(name)
    thinking_tokens = config.evaluate.sampling.thinking_tokens
    served = config.serve.models.get(name) if config.serve is not None else None
    if settings is not None and settings.tokenizer is not None:
        field, model, revision = f"evaluate.models.{name}.tokenizer", settings.tokenizer, settings.revision
    elif served is not None and may_be_to_come and stage_to_come(config, name) is not None:
        files = served_files(config, name, may_be_to_come=True)
        return EvaluatedModel(
            name,
            Tokenizer(*config.trained_model),
            files,
            served_tokens(config, name, files),
            thinking_tokens,
        )
    elif served is not None:
        field, revision = f"serve.models.{name}.model", served.revision
        model = served_source(config, name)
    else:
        raise UserError(
            f"evaluate.models.{name}.tokenizer: is missing, and serve.models has no {name}; give the model or folder "
            f"whose tokenizer it has"
        )
    # Whose tokenizer it is says nothing of the length that an endpoint serves.
    find = find_tokenizer if served is None else find_model
    files = find(field, model, revision)
    max_tokens = served_tokens(config, name, files) if served is not None else None
    if settings is not None and settings.max_tokens is not None:
        max_tokens = settings.max_tokens
    return EvaluatedModel(name, Tokenizer(model, revision), files, max_tokens, thinking_tokens)


def with_endpoint_limits(
    config: RunConfig, models: Sequence[EvaluatedModel], listed: Mapping[str, EndpointModel]
) -> list[EvaluatedModel]:
    """The models with the longest lengths that the endpoint's /models says, unless a setting says them."""
    assert config.evaluate is not None
    limited = []
    for model in models:
        settings, found = config.evaluate.models.get(model.name), listed.get(model.name)
        is_set = settings is not None and settings.max_tokens is not None
        known = found.max_tokens if found is not None else None
        limited.append(model if is_set or known is None else replace(model, max_tokens=known))
    return limited
