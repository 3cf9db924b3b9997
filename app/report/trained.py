"""The report's section on training: a table of the stages, and curves of loss and throughput."""

import math
from statistics import median

from app.html import (
    Cell,
    Content,
    Html,
    count_cell,
    decimal_cell,
    memory_cell,
    missing,
    picture,
    pictures,
    seconds_cell,
    section,
    table,
)
from app.report.curves import draw_curve
from app.report.reading import RunFacts, TrainedStage
from app.report.searched import render_searches
from app.training.export.card import summarize_losses

TITLE = "How training went"
CURVES = (
    ("loss", "Loss", "cross entropy of a learned token"),
    ("tokens_per_sec_per_device", "Throughput", "tokens a second, each device"),
    ("grad_norm", "Gradient norm", "before clipping"),
    ("learning_rate", "Learning rate", "of the step"),
)


def render_trained(facts: RunFacts) -> Html:
    """All stages, those included that are half done."""
    if not facts.stages:
        return section("trained", TITLE, missing("The settings have no training."))
    searches = render_searches(facts.stages)
    if not any(stage.steps for stage in facts.stages):
        return section("trained", TITLE, missing("No step is trained yet."), *searches)
    shown = [
        picture(
            draw_curve(facts.stages, name, title, unit, is_noisy=name != "learning_rate"),
            f"{title} over the steps of all stages",
        )
        for name, title, unit in CURVES
    ]
    parts = [_stage_table(facts.stages), pictures(shown), *searches]
    return section("trained", TITLE, *_unfinished(facts.stages), *parts)


def _unfinished(stages: list[TrainedStage]) -> list[Content]:
    names = [stage.name for stage in stages if stage.record is None]
    return [missing(f"Not complete yet: {', '.join(names)}.")] if names else []


def _stage_table(stages: list[TrainedStage]) -> Html:
    heads = [
        "tokens a sequence",
        "RoPE base",
        "steps",
        "tokens",
        "loss, first step",
        "last step",
        "mean of the last tenth",
        "tokens/s a device",
        "MFU",
        "peak memory a worker",
        "time of the steps",
        "export differs by",
    ]
    note = "" if _is_on_gpus(stages) else " (on a CPU: all that the process holds)"
    rows = [_stage_row(stage) for stage in stages]
    return table(
        f"Stages as they were trained; peak memory of the largest worker{note}", ["stage"], heads, rows
    )


def _stage_row(stage: TrainedStage) -> list[Content]:
    steps = stage.steps
    losses = [math.nan if record["loss"] is None else record["loss"] for record in steps]
    summary = summarize_losses(losses) if losses else (None, None, None)
    shares = [record["mfu"] for record in steps if record["mfu"] is not None]
    record = stage.record
    return [
        stage.name,
        stage.settings.max_seq_tokens,
        count_cell(record.stage.rope_parameters.get("rope_theta") if record else None),
        _progress(stage),
        stage.num_tokens,
        *(decimal_cell(loss, ".4f") for loss in summary),
        decimal_cell(
            median(record["tokens_per_sec_per_device"] for record in steps) if steps else None, ",.0f"
        ),
        decimal_cell(median(shares) if shares else None, ".1%"),
        memory_cell(max(record["peak_memory_bytes"] for record in steps) if steps else None),
        seconds_cell(sum(record["step_sec"] for record in steps) if steps else None),
        decimal_cell(record.export.logit_difference if record else None, ".2g"),
    ]


def _progress(stage: TrainedStage) -> Cell:
    num_done = stage.steps[-1]["step"] if stage.steps else 0
    return Cell(f"{num_done:,} of {stage.settings.total_steps:,}", num_done)


def _is_on_gpus(stages: list[TrainedStage]) -> bool:
    return any(record["is_gpu"] for stage in stages for record in stage.steps)
