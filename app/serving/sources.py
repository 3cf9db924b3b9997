"""Where a served model's files are: where the settings say, or in the export of one of the run's stages."""

from dataclasses import replace

from app.config import RunConfig, ServeConfig, StageConfig
from app.faults import UserError, one_line
from app.models.files import ModelFiles, find_model
from app.run import EXPORT_DIR, Run

STAGE_PREFIX = "stage:"


def serve_section(config: RunConfig) -> ServeConfig:
    """The settings of serving.

    Raises:
        UserError: There are none.
    """
    if config.serve is None:
        raise UserError(
            "serve: is missing, and there is no model to serve without it; set serve.models.NAME.model"
        )
    return config.serve


def served_source(config: RunConfig, name: str) -> str:
    """Model or folder of a name in `serve.models`, in the form that `app.models.places.resolve_model` takes.

    Raises:
        UserError: It is a stage without an export, or its folder can't be read.
    """
    model = serve_section(config).models[name].model
    if not model.startswith(STAGE_PREFIX):
        return model
    field = f"serve.models.{name}.model"
    stage = model.removeprefix(STAGE_PREFIX)
    artefact = Run(config.run_dir).stage(stage)
    try:
        is_exported = artefact.is_complete()
    except OSError as error:
        reason = one_line(error)
        raise UserError(
            f"{field}: {model!r} is in {artefact.folder.uri}, which can't be read ({reason}); give a run_dir that this "
            f"machine may read"
        ) from error
    if not is_exported:
        stages = [] if config.train is None else [each.name for each in config.train.stages]
        if stages and stage not in stages:
            raise UserError(
                f"{field}: {model!r} is not a stage of this recipe; give one of "
                f"{', '.join(STAGE_PREFIX + known for known in stages)}"
            )
        raise UserError(
            f"{field}: {model!r} has no export in {artefact.folder.uri}; train it first, or leave this model out"
        )
    return (artefact.folder / EXPORT_DIR).uri


def stage_of(config: RunConfig, name: str) -> StageConfig | None:
    """The recipe's stage whose export a name of `serve.models` is."""
    model = serve_section(config).models[name].model
    stages = [] if config.train is None else config.train.stages
    return next((stage for stage in stages if model == STAGE_PREFIX + stage.name), None)


def stage_to_come(config: RunConfig, name: str) -> StageConfig | None:
    """The stage that a name in `serve.models` refers to, if that stage has no export yet; otherwise None."""
    stage = stage_of(config, name)
    return None if stage is None or Run(config.run_dir).stage(stage.name).is_complete() else stage


def served_files(config: RunConfig, name: str, may_be_to_come: bool = False) -> ModelFiles:
    """The small files of a served model.

    Args:
        config: The run's settings.
        name: In `serve.models`.
        may_be_to_come: For a stage that has no export yet give what it will have: those of the model that it is made
            from, with its length.

    Raises:
        UserError: There is no such model.
    """
    served = serve_section(config).models[name]
    if may_be_to_come and (stage := stage_to_come(config, name)) is not None:
        field = "train.model" if config.train is not None and config.train.model else "generator.model"
        files = find_model(field, *config.trained_model)
        scaled = ("rope_scaling", "rope_parameters")
        kept = {key: value for key, value in (files.config or {}).items() if key not in scaled}
        return replace(
            files, config=files.config and kept | {"max_position_embeddings": stage.max_seq_tokens}
        )
    return find_model(f"serve.models.{name}.model", served_source(config, name), served.revision)


def served_tokens(config: RunConfig, name: str, files: ModelFiles) -> int | None:
    """Longest prompt and answer together; None: only the hub knows, which is out of reach."""
    return serve_section(config).models[name].max_model_tokens or files.max_tokens
