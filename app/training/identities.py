"""What decides the three things that training makes: a source's tokens, a stage's sequences, the stage itself."""

from collections.abc import Mapping
from typing import Any, Literal

from app.config import EvaluateConfig, RunConfig, TrainConfig, identity
from app.probing.tasks import identity_of_questions
from app.run import fingerprint_of

_OF_LOSS = ("loss",)
"""Settings of a source that its tokens do not depend on: they hold what either loss needs."""
_OF_STEPS = (
    "name",
    "rope_theta",
    "rope_parameters",
    "num_steps",
    "num_tokens",
    "batch_tokens",
    "learning_rate",
    "schedule",
    "warmup_steps",
    "min_learning_rate_share",
)
"""Settings of a stage that its sequences do not depend on; their number is a product of some."""
_OF_FILES = (
    "_name_or_path",
    "transformers_version",
    "architectures",
    "auto_map",
    "dtype",
    "torch_dtype",
    "use_cache",
)
"""Fields of a model's config.json that say how it is kept or run, not what it computes."""


def losses_of(train: TrainConfig, index: int) -> dict[str, Literal["all", "response"]]:
    """What a stage learns of each of its sources."""
    stage = train.stages[index]
    return {name: stage.loss or train.sources[name].loss for name in sorted(stage.mix)}


def identity_of_tokens(
    train: TrainConfig, source: str, tokenizer_fingerprint: str, dataset_fingerprint: str | None
) -> dict[str, Any]:
    """All that decides a source's tokens, but the content of its files.

    Args:
        train: The settings.
        source: Its name.
        tokenizer_fingerprint: Fingerprint of the trained model's tokenizer.
        dataset_fingerprint: Fingerprint of the run's dataset, if that is the source.
    """
    settings = identity(train.sources[source])
    return {
        "train": {"sources": {source: _without(settings, _OF_LOSS)}},
        "dataset": dataset_fingerprint,
        "tokenizer": tokenizer_fingerprint,
    }


def identity_of_stage_data(config: RunConfig, index: int, tokens: Mapping[str, str]) -> dict[str, Any]:
    """All that decides a stage's sequences.

    Args:
        config: The run's settings, with `train`.
        index: Index of the stage.
        tokens: Source → fingerprint of its tokens; of the stage's mix at least.
    """
    assert config.train is not None
    stage = config.train.stages[index]
    decisive = _without(identity(stage), _OF_STEPS) | {
        "num_sequences": stage.total_steps * stage.sequences_per_step,
        "loss": losses_of(config.train, index),
    }
    return {
        "seed": config.seed,
        "train": {"stages": {stage.name: decisive}},
        "tokens": {name: tokens[name] for name in sorted(stage.mix)},
    }


def identity_of_stage(
    config: RunConfig,
    index: int,
    tokens: Mapping[str, str],
    ropes: Mapping[str, Mapping[str, Any] | None],
    model_settings: Mapping[str, Any],
) -> dict[str, Any]:
    """All that decides what a stage is, the stages before it included.

    Args:
        config: The run's settings, with `train`.
        index: Index of the stage.
        tokens: Source → fingerprint of its tokens; of all stages' mixes.
        ropes: Stage → the RoPE parameters that it trains with, of all stages up to this one; None: not searched yet.
        model_settings: Content of the config.json of the model before the first stage. A checkpoint holds weights
            alone: with another epsilon or window they would be another model.
    """
    assert config.train is not None
    stage = config.train.stages[index]
    previous = None
    if index > 0:
        before = identity_of_stage(config, index - 1, tokens, ropes, model_settings)
        previous = {
            "name": config.train.stages[index - 1].name,
            "settings": fingerprint_of(before)[:16],
        }
    settings = identity(config.train)
    model, revision = config.trained_model
    # A claim is refused by the first name that differs: `trained_rope` follows from settings that stand before it, and
    # what differs in `trained_settings` may be RoPE's.
    rope = ropes[stage.name]
    own = identity(stage) | {
        "previous": previous,
        "trained_rope": None if rope is None else dict(rope),
        "trained_settings": _without(dict(model_settings), _OF_FILES),
    }
    settings |= {"model": model, "revision": revision, "stages": {stage.name: own}}
    settings["sources"] = {name: settings["sources"][name] for name in stage.mix}
    return {
        "seed": config.seed,
        "train": settings,
        "tokens": {name: tokens[name] for name in sorted(stage.mix)},
    }


def identity_of_rope_search(
    config: RunConfig, index: int, before: Mapping[str, Any], previous: str | None
) -> dict[str, Any]:
    """All that decides what the search for a stage's RoPE finds.

    Args:
        config: The run's settings, with `train`.
        index: Index of the stage.
        before: The RoPE parameters of the model that is read.
        previous: Fingerprint of the stage before, whose weights are read; None: those of the model.
    """
    assert config.train is not None
    stage = config.train.stages[index]
    model, revision = config.trained_model
    own = {"max_seq_tokens": stage.max_seq_tokens, "rope_before": dict(before), "previous": previous}
    return {
        "seed": config.seed,
        "train": {"model": model, "revision": revision, "stages": {stage.name: own}},
        **identity_of_questions(config.evaluate or EvaluateConfig(), config.probe),
    }


def _without(settings: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in names}
