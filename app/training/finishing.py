"""Finishes a stage: its export, checked against the trained weights, its card, and its record."""

from app.models.places import resolve_model
from app.models.rope import max_tokens_of, rope_of
from app.records.training import ExportRecord, SourceFacts, StageDataRecord, StageFacts, StageRecord
from app.run import COMPLETE_FILE, DATA_DIR, EXPORT_DIR
from app.training.export.card import CARD_FILE, CardFacts, render_card
from app.training.export.export import export_model, verify_export
from app.training.export.files import read_card
from app.training.loop import DTYPES, StageTask, StageTrainer
from app.training.metrics import read_records
from app.versions import installed_versions

EXPORT_TOLERANCE = {"float32": 1e-3, "bfloat16": 0.05}
"""How far the export's logits may be off from the trained model's (`difference_of_logits`), by the coarser of the two
types; the weights must be the same to the bit."""


def finish_stage(trainer: StageTrainer, history: list[StageRecord]) -> StageRecord | None:
    """Export a trained stage and check the export; every worker calls it.

    Args:
        trainer: Has run to its end.
        history: Records of the stages before, as returned by this function.

    Returns:
        The stage's record, on the leader.

    Raises:
        RuntimeError: The export is not the trained model.
    """
    task, workers = trainer.task, trainer.workers
    train, folder = task.train, task.folder / EXPORT_DIR
    types = {train.dtype, train.export_dtype}
    exported = export_model(
        trainer.model,
        workers,
        trainer.config,
        str(resolve_model(task.model)),
        DTYPES[train.export_dtype],
        folder,
        revision=task.revision,
    )
    tolerance = max(EXPORT_TOLERANCE[name] for name in types)
    difference = verify_export(trainer.model, workers, folder, tolerance)
    if not workers.is_leader:
        return None
    record = StageRecord(
        stage=_facts_of(trainer),
        sources=_sources_of(task),
        export=ExportRecord(**exported.values(), logit_difference=difference),
    )
    folder.write_bytes(CARD_FILE, _card(task, [*history, record]).encode())
    return record


def _facts_of(trainer: StageTrainer) -> StageFacts:
    stage = trainer.stage
    return StageFacts(
        name=stage.name,
        max_seq_tokens=stage.max_seq_tokens,
        rope_parameters=dict(rope_of(trainer.config) or {}),
        mix=stage.mix,
        num_tokens=trainer.tokens_seen,
        learning_rate=stage.learning_rate,
        losses=[record["loss"] for record in read_records(trainer.task.folder)],
    )


def _sources_of(task: StageTask) -> list[SourceFacts]:
    shares = StageDataRecord.read(task.folder / DATA_DIR, COMPLETE_FILE).sources
    return [
        SourceFacts(
            name=name,
            origin=task.train.sources[name].path or "the run's dataset",
            num_tokens=shares[name].num_tokens,
        )
        for name in sorted(task.stage.mix)
    ]


def _card(task: StageTask, records: list[StageRecord]) -> str:
    from transformers import AutoConfig

    base = AutoConfig.from_pretrained(
        resolve_model(task.model), revision=task.revision, trust_remote_code=False
    )
    sources = {source.name: source for record in records for source in record.sources}
    return render_card(
        CardFacts(
            name=f"{task.run_name}-{task.stage.name}",
            base_model=task.model,
            base_revision=task.revision,
            base_max_tokens=max_tokens_of(base),
            base_card=read_card(resolve_model(task.model), task.revision),
            dtype=task.train.export_dtype,
            stages=[record.stage for record in records],
            sources=list(sources.values()),
            versions=installed_versions(),
        )
    )
