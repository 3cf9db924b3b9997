"""What decides an evaluation: of one suite the answers, of all of it the scores."""

from typing import Any

from app.config import EvaluateConfig, RunConfig, identity
from eval.asking import PrefixWay
from eval.models import model_names
from eval.samples import SampleMaker


def identity_of_answers(
    settings: EvaluateConfig, model: str, maker: SampleMaker, way: PrefixWay | None
) -> dict[str, Any]:
    """All that one model's answers to a suite's samples depend on, as JSON values.

    The budget for thought is not among them: each record knows its own, and only replies that it cut are asked again.
    """
    sampling = identity(settings.sampling)
    del sampling["thinking_tokens"]
    return {
        "model": model,
        "api": settings.api,
        "answer_prefix": way,
        "sampling": sampling,
        "samples": maker.identity(),
    }


def identity_of_evaluation(config: RunConfig) -> dict[str, Any]:
    """All that the scores depend on; which suites are asked may change."""
    assert config.evaluate is not None
    return {
        "evaluate": identity(config.evaluate),
        "models": model_names(config),
        "seed": config.seed,
    }
