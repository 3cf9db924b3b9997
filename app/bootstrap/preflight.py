"""Checks before the first step that the whole loop can work: the settings of all steps, including future artefacts.

Every fault is a UserError of one line: the field, the value, and what would be right.
"""

from app.bootstrap.rounds import rounds_of
from app.config import Config
from app.dataset.preflight import check_synthesis
from app.faults import UserError
from app.run import Run
from app.serving.sources import stage_of
from app.training.preflight import check_training
from eval.gate import gate_of
from eval.models import model_names
from eval.preflight import check_evaluation


def check_bootstrap(config: Config) -> None:
    """What all steps of all rounds need.

    Raises:
        UserError: One of them cannot work with these settings.
    """
    for section in ("train", "serve", "evaluate"):
        if getattr(config, section) is None:
            raise UserError(f"{section}: is missing, and a bootstrap needs it; set it as laptop.yaml does")
    _check_models(config)
    assert config.train is not None
    if config.train.dry_run:
        raise UserError(
            "train.dry_run: true trains nothing that a bootstrap could continue with; use it with `longstrap train`"
        )
    for index in range(len(config.train.stages)):
        gate_of(config, index)
    list(rounds_of(config, Run(config.run_dir)))
    check_evaluation(config, may_be_to_come=True)
    check_training(config, is_dataset_to_come=True)
    # Last, as this one reads most.
    check_synthesis(config)


def _check_models(config: Config) -> None:
    assert config.train is not None
    assert config.serve is not None
    assert config.evaluate is not None
    if config.evaluate.url is not None:
        raise UserError(
            f"evaluate.url: {config.evaluate.url} is not used by a bootstrap, which serves its stages itself; leave "
            f"it out"
        )
    for name in model_names(config):
        if name not in config.serve.models:
            raise UserError(
                f"evaluate.models: {name} is not in serve.models, which a bootstrap serves and evaluates; add it there"
            )
    last = config.train.stages[-1].name
    if not any(
        (stage := stage_of(config, name)) is not None and stage.name == last for name in model_names(config)
    ):
        raise UserError(
            f"serve.models: has no entry for the last stage, which the evaluation is about; add "
            f"{last}: {{model: 'stage:{last}'}}"
        )
