"""Searches the RoPE of a stage: candidates are read untrained, and the best one is recorded before the stage trains."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from app.config import RunConfig
from app.models.rope import max_tokens_of, model_rope, rope_parameters_of
from app.probing.candidates import candidates_of
from app.probing.criterion import best_of
from app.probing.lines import describe_search
from app.probing.pictures import draw_probe
from app.probing.pipeline import read_all
from app.probing.tasks import ReadingTask, make_task
from app.progress.attempts import Report
from app.records.probe import ReadingRecord, RopeSearchRecord
from app.run import EXPORT_DIR, Run, fingerprint_of, read_identity
from app.storage import Folder
from app.training.identities import identity_of_rope_search

PICTURE_FILE = "rope.png"
ReadAll = Callable[[Sequence[ReadingTask], RunConfig, Folder, Report], list[ReadingRecord]]
"""`app.probing.pipeline.read_all`, or what stands for it."""


def searched_ropes(config: RunConfig, run: Run) -> dict[str, dict[str, Any]]:
    """Stage → the RoPE parameters that its search found, of those that have searched."""
    assert config.train is not None
    return {
        stage.name: search.record().rope_parameters
        for stage in config.train.stages
        if stage.rope_theta == "search" and (search := run.rope_search(stage.name)).is_complete()
    }


def ropes_of_stages(
    config: RunConfig, base: Any, searched: Mapping[str, dict[str, Any]]
) -> dict[str, dict[str, Any] | None]:
    """Stage → the RoPE parameters that it trains with; None from the first one on whose search is still to come.

    Args:
        config: The run's settings, with `train`.
        base: transformers' configuration of the model before the first stage.
        searched: What is known of the searches.
    """
    assert config.train is not None
    found: dict[str, dict[str, Any] | None] = {}
    is_known = True
    for index, stage in enumerate(config.train.stages):
        is_known = is_known and (stage.rope_theta != "search" or stage.name in searched)
        found[stage.name] = (
            rope_parameters_of(base, config.train.stages, index, searched) if is_known else None
        )
    return found


def search_rope(
    config: RunConfig, run: Run, index: int, base: Any, report: Report, read: ReadAll = read_all
) -> None:
    """Search a stage's RoPE and record it; at once if it is known.

    Args:
        config: The run's settings, with `train`.
        run: Takes the record; the stage before is complete.
        index: Index of the stage.
        base: transformers' configuration of the model before the first stage.
        report: Takes lines for the person who watches.
        read: Reads the candidates.

    Raises:
        UserError: It was searched with other settings, or the model can't be asked.
    """
    assert config.train is not None
    stages, stage = config.train.stages, config.train.stages[index]
    artefact = run.rope_search(stage.name)
    weights, previous = None, None
    before, old_tokens = model_rope(base), max_tokens_of(base)
    if index > 0:
        folder = run.stage(stages[index - 1].name).folder
        weights, previous = (folder / EXPORT_DIR).uri, fingerprint_of(read_identity(folder))
        before = rope_parameters_of(base, stages, index - 1, searched_ropes(config, run))
        old_tokens = max(old_tokens, stages[index - 1].max_seq_tokens)
    artefact.claim(identity_of_rope_search(config, index, before, previous))
    if artefact.is_complete():
        return
    tasks = [
        make_task(
            config,
            candidate.name,
            candidate.parameters,
            stage.max_seq_tokens,
            old_tokens,
            weights,
            previous,
        )
        for candidate in candidates_of(base, before, old_tokens, stage.max_seq_tokens)
    ]
    readings = read(tasks, config, artefact.folder, report)
    best = best_of(readings)
    record = RopeSearchRecord(
        model=weights or config.trained_model[0],
        old_tokens=old_tokens,
        chosen=best.name,
        rope_parameters=best.rope_parameters,
        readings=readings,
    )
    title = f"Candidates for stage {stage.name}, untrained"
    artefact.folder.write_bytes(PICTURE_FILE, draw_probe(readings, old_tokens, title, best.name))
    artefact.complete(record)
    report(describe_search(stage.name, record))
