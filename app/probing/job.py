"""The verb `probe`: where a model's context ends, with its own RoPE, with the candidates', and after each stage."""

from typing import Any

from app.checks import check_held_cpus, check_run_dir
from app.config import RunConfig
from app.faults import UserError
from app.models.files import find_model
from app.models.places import resolve_model
from app.models.rope import max_tokens_of, model_rope
from app.probing.candidates import candidates_of
from app.probing.lines import render_probe
from app.probing.pictures import draw_probe
from app.probing.pipeline import read_all
from app.probing.tasks import ReadingTask, make_task
from app.progress.attempts import Report
from app.records.probe import ProbeRecord
from app.run import EXPORT_DIR, Run, fingerprint_of, read_identity

RECORD_FILE, PAGE_FILE, PICTURE_FILE = "probe.json", "probe.md", "probe.png"
DEFAULT_FACTORS = (1.0, 1.25, 1.5, 2.0)
"""Of the model's own length, where no stage says what lengths matter."""


def check_probe(config: RunConfig) -> None:
    """What the probe needs.

    Raises:
        UserError: There is no model, or it can't be asked.
    """
    model, revision = config.trained_model
    find_model("train.model" if config.train and config.train.model else "generator.model", model, revision)
    if config.train is not None:
        check_held_cpus(config, config.train.cpus_per_worker, "a task of the probe", "")
    check_run_dir(config)


def probe(config: RunConfig, run: Run, report: Report) -> None:
    """Read the model, the candidates and the trained stages at all lengths; write record, page and picture.

    Args:
        config: The run's settings; Ray is connected.
        run: Takes what is made.
        report: Takes lines for the person who watches.

    Raises:
        UserError: The model can't be asked.
    """
    from transformers import AutoConfig

    model, revision = config.trained_model
    base = AutoConfig.from_pretrained(resolve_model(model), revision=revision, trust_remote_code=False)
    own = max_tokens_of(base)
    tasks = _tasks(config, run, base, own)
    readings = read_all(tasks, config, run.probe, report)
    record = ProbeRecord(model=model, old_tokens=own, readings=readings)
    record.write(run.probe, RECORD_FILE)
    run.probe.write_bytes(PICTURE_FILE, draw_probe(record.readings, own, "Where the context ends"))
    run.probe.write_bytes(PAGE_FILE, render_probe(record, PICTURE_FILE).encode("utf-8", "replace"))
    report(f"open      {(run.probe / PAGE_FILE).uri}")


def probed_lengths(config: RunConfig, own_tokens: int) -> list[int]:
    """Lengths that `probe` reads, ascending.

    Args:
        config: The run's settings.
        own_tokens: Longest sequence that the model was made for.
    """
    if config.probe.lengths_tokens is not None:
        return sorted(config.probe.lengths_tokens)
    if config.train is not None:
        return sorted({own_tokens, *(stage.max_seq_tokens for stage in config.train.stages)})
    return [int(own_tokens * factor) for factor in DEFAULT_FACTORS]


def _tasks(config: RunConfig, run: Run, base: Any, own_tokens: int) -> list[ReadingTask]:
    found: list[ReadingTask] = []
    stages = [] if config.train is None else config.train.stages
    trained = [stage.name for stage in stages if run.stage(stage.name).is_complete()]
    for length in probed_lengths(config, own_tokens):
        for candidate in candidates_of(base, model_rope(base), own_tokens, length):
            found.append(make_task(config, candidate.name, candidate.parameters, length, own_tokens))
        for name in trained:
            artefact = run.stage(name)
            parameters = artefact.record().stage.rope_parameters
            weights = (artefact.folder / EXPORT_DIR).uri
            identity = fingerprint_of(read_identity(artefact.folder))
            found.append(
                make_task(config, f"stage {name}", parameters, length, own_tokens, weights, identity)
            )
    if not found:
        raise UserError("probe.lengths_tokens: no candidate reads these lengths; give others")
    return found
