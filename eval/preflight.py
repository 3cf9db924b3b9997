"""Checks the settings of an evaluation before any sample is generated or sent.

Every fault is a UserError of one line: the field, the value, and what would be right.
"""

from app.checks import check_run_dir
from app.config import EvaluateConfig, RunConfig
from app.faults import UserError
from eval.models import EvaluatedModel, evaluated_models
from eval.ruler.definitions import TASKS
from eval.suite import SampledSuite
from eval.suites.registry import asked_suites


def check_evaluation(config: RunConfig, may_be_to_come: bool = False) -> None:
    """What the suites need.

    Args:
        config: The run's settings.
        may_be_to_come: Stages that have no export yet are trained before.

    Raises:
        UserError: They cannot be asked with these settings.
    """
    settings = config.evaluate
    if settings is None:
        raise UserError(
            "evaluate: is missing; give --url http://HOST:8000/v1, or set `evaluate` in the recipe"
        )
    if settings.url is None:
        from app.serving.preflight import check_serving

        if config.serve is None:
            raise UserError(
                "evaluate.url: is missing, and the recipe has no `serve` to start a server from; give "
                "--url http://HOST:8000/v1"
            )
        check_serving(config, may_be_to_come)
    for task in settings.ruler.tasks:
        if task not in TASKS:
            raise UserError(f"evaluate.ruler.tasks: no task is called {task}; known: {', '.join(TASKS)}")
    for suite in asked_suites(settings):
        suite.check(settings)
    models = evaluated_models(config, may_be_to_come)
    for model in models:
        _check_template(settings, model)
    check_lengths(settings, models)
    check_run_dir(config)


def _check_template(settings: EvaluateConfig, model: EvaluatedModel) -> None:
    if settings.template == "chat" and model.files.has_chat_template is False:
        raise UserError(
            f"evaluate.template: chat, but {model.tokenizer.model!r} of model {model.name} has no chat template; set "
            f"base"
        )


def check_lengths(settings: EvaluateConfig, models: list[EvaluatedModel]) -> None:
    """A length that no model reads is a mistake; one that some don't is a gap in their tables.

    Raises:
        UserError: None of the models reads one of the lengths.
    """
    for suite in asked_suites(settings):
        for length in suite.lengths_tokens(settings) if isinstance(suite, SampledSuite) else []:
            if not any(model.reads(length) for model in models):
                longest = max(model.max_tokens or 0 for model in models)
                thought = settings.sampling.thinking_tokens
                budget = f" with {thought} thinking_tokens" if thought else ""
                raise UserError(
                    f"evaluate.{suite.name}.lengths_tokens: {length}{budget} is more than any of the models can read; "
                    f"at most {longest - thought} (evaluate.models.NAME.max_tokens, or what the endpoint's /models "
                    f"says)"
                )
