"""The report's first section: what the settings request."""

from collections.abc import Sequence

from app.config import Config, RunConfig, StageConfig
from app.html import Content, Html, decimal_cell, pairs, section, table

TITLE = "What was asked"


def render_asked(config: RunConfig) -> Html:
    """The settings that a reader asks for first; all of them are at the page's end."""
    content: list[Content] = [
        pairs([*_data_settings(config), *_training_settings(config), *_questions(config)])
    ]
    if config.train is not None:
        content.append(_stage_table(config.train.stages))
    return section("asked", TITLE, *content)


def _data_settings(config: RunConfig) -> list[tuple[str, Content]]:
    if not isinstance(config, Config):
        return [("Documents", "none; the stages train on data that was there already")]
    dataset = config.dataset
    lengths = ", ".join(f"{each.min_tokens:,} to {each.max_tokens:,}" for each in dataset.target_lengths)
    return [
        ("Documents", ", ".join(source.path for source in config.corpus.sources)),
        ("Generator", _model(config.generator.model, config.generator.revision)),
        ("Retriever", _model(config.retrieval.model, config.retrieval.revision)),
        (
            "Examples",
            f"{dataset.num_long_input_seeds:,} long inputs, {dataset.num_long_output_seeds:,} long outputs, "
            f"{dataset.num_structure_seeds:,} structure tasks",
        ),
        ("Length of the contexts", f"{lengths} tokens"),
        (
            "Length of long outputs",
            f"{dataset.long_output_tokens.min_tokens:,} to {dataset.long_output_tokens.max_tokens:,} tokens"
            if dataset.num_long_output_seeds
            else None,
        ),
    ]


def _training_settings(config: RunConfig) -> list[tuple[str, Content]]:
    if config.train is None:
        return []
    train, gate = config.train, config.bootstrap.gate
    device = "GPU" if train.gpus_per_worker else "CPU worker"
    needed = []
    if gate.min_niah_percent is not None:
        needed.append(f"at least {gate.min_niah_percent:g}% of the needles found")
    if gate.max_short_points_lost is not None:
        needed.append(f"at most {gate.max_short_points_lost:g} points lost on short tasks")
    return [
        ("Model to be extended", _model(*config.trained_model)),
        (
            "Trained on",
            f"{train.num_workers:,} {device}{'s' if train.num_workers > 1 else ''}, {train.dtype}",
        ),
        ("Each stage needs", " and ".join(needed)),
    ]


def _questions(config: RunConfig) -> list[tuple[str, Content]]:
    if config.evaluate is None:
        return []
    models = config.evaluate.models or (config.serve.models if config.serve else {})
    return [
        ("Evaluated models", ", ".join(models)),
        ("Suites", ", ".join(config.evaluate.suites)),
        ("Rounds", str(config.bootstrap.rounds) if config.bootstrap.rounds > 1 else None),
    ]


def _model(name: str, revision: str | None) -> str:
    return f"{name} at {revision}" if revision else name


def _stage_table(stages: Sequence[StageConfig]) -> Html:
    rows = [
        [
            stage.name,
            ", ".join(f"{name} {share / sum(stage.mix.values()):.0%}" for name, share in stage.mix.items()),
            stage.schedule,
            stage.max_seq_tokens,
            stage.total_steps,
            stage.total_steps * stage.batch_tokens,
            decimal_cell(stage.learning_rate, "g"),
            stage.sequence_parallel_size,
        ]
        for stage in stages
    ]
    return table(
        "Stages, one after the other",
        ["stage", "mix", "schedule"],
        ["sequence tokens", "steps", "tokens", "learning rate", "workers a sequence"],
        rows,
    )
