"""Examples → tokens → packed sequences on a Ray cluster: one task per part of a source, one per shard of a stage.

RUN/train/_tokens/SOURCE   a source's tokens, made once for all stages
RUN/train/STAGE/data       a stage's sequences

The driver knows files and lengths, never a token. What is done is on storage: an interrupted job goes on where it was,
and every byte is the same for any number of workers.
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

from app.cluster.tasks import run_tasks
from app.config import RunConfig, StageConfig
from app.corpus.changes import describe_changes, record_inputs
from app.corpus.malformed import Losses
from app.corpus.units import WorkUnit, fingerprint_of_plan
from app.faults import UserError
from app.progress.attempts import Report
from app.quantities import tally
from app.records.training import StageDataRecord, TokensRecord
from app.run import Artefact, R, Run, fingerprint_of, read_identity
from app.storage import Folder
from app.tokens import Tokenizer
from app.training.data.inputs import StageInputs, data_of, tokens_of
from app.training.data.packing import PackingPlan
from app.training.data.sequence_store import INDEX, SequenceStore
from app.training.data.source_checks import require_dataset
from app.training.data.source_tokens import REJECTS_DIR, PartRecord, tokenize_part
from app.training.data.sources import list_training_files, plan_parts, used_sources
from app.training.data.stage_shards import plan_shards, write_planned_shard
from app.training.identities import identity_of_tokens

MOST_REJECTED_SHARE = 0.5
RENAME = "give the source another name to learn from what is there now"
_PLAN_FILE = "plan.json"
_INPUTS_DIR = "inputs"
"""Beside the tokens, whose every Parquet file is a part's index."""


def prepare_tokens(config: RunConfig, run: Run, report: Report) -> None:
    """Tokenize every source that a stage mixes in, once; go on with half-done ones, skip complete ones.

    Args:
        config: The run's settings, with `train`.
        run: The run that the tokens are written to.
        report: Takes lines for the person who watches.

    Raises:
        UserError: The run's dataset is not complete, a source has no row, most of its rows are malformed, or the
            folder was made with other settings.
    """
    assert config.train is not None
    tokenizer = Tokenizer(*config.trained_model)
    for name in used_sources(config.train):
        source, artefact = config.train.sources[name], tokens_of(run, name)
        if source.path is None:
            require_dataset(name, run.dataset)
        dataset = None if source.path else _fingerprint_of_dataset(run)
        settings = identity_of_tokens(config.train, name, tokenizer.fingerprint, dataset)
        try:
            _claim(artefact, settings, report, f"tokens of {name}")
        except UserError as error:
            raise UserError(f"{error}, or give the source another name") from error
        files = list_training_files(config, name)
        if not artefact.is_complete():
            parts = plan_parts(files, f"train.sources.{name}")
            _begin_or_go_on(artefact, settings, fingerprint_of_plan(parts, None), report, f"tokens of {name}")
            record = _tokenize(config, artefact.folder, name, parts, tokenizer, report)
            # A dataset of the run's own is told apart by its content.
            if source.path:
                record_inputs(artefact.folder / _INPUTS_DIR, files)
            artefact.complete(record)
        elif source.path and (
            changes := describe_changes(artefact.folder / _INPUTS_DIR, files, f"tokens of {name}", RENAME)
        ):
            report(changes)
        report(_summary_of_tokens(name, artefact.record()))


def prepare_stage(config: RunConfig, run: Run, stage: StageConfig, report: Report) -> SequenceStore:
    """Pack a stage's sequences out of its sources' tokens, which are complete; at once if that is done.

    Args:
        config: The run's settings.
        run: The run with the tokens; the sequences are written to it.
        stage: One of `config.train.stages`.
        report: Takes lines for the person who watches.

    Raises:
        UserError: A source has too few tokens for its share, or the folder was made with other settings.
    """
    artefact = data_of(run, stage)
    inputs = StageInputs(config, run, stage)
    settings = inputs.identity
    _claim(artefact, settings, report, f"data of {stage.name}")
    if not artefact.is_complete():
        plan = inputs.plan()
        _begin_or_go_on(artefact, settings, plan.fingerprint, report, f"data of {stage.name}")
        done = set(artefact.folder.list_names(INDEX))
        shards = plan_shards(plan, inputs.indexes, stage.max_seq_tokens)
        missing = [shard for shard in shards if shard.name + INDEX not in done]
        write = partial(write_planned_shard, folder=artefact.folder, inputs=inputs.shard_inputs(plan))
        title, interval_sec = f"data of {stage.name}: shards packed", config.progress.log_interval_sec
        for _ in run_tasks(missing, write, title, report, interval_sec):
            pass
        artefact.complete(_record_of_stage(plan, SequenceStore(artefact.folder)))
    report(_summary_of_stage(stage.name, artefact.record()))
    return SequenceStore(artefact.folder)


def check_mixes(config: RunConfig, run: Run) -> None:
    """Plan all stages that have no data yet: what the last one lacks is told before the first one trains for days.

    Args:
        config: The run's settings.
        run: The run with the complete tokens.

    Raises:
        UserError: A source has too few tokens for its share in a stage.
    """
    assert config.train is not None
    for stage in config.train.stages:
        if not data_of(run, stage).is_complete():
            StageInputs(config, run, stage).plan()


def _fingerprint_of_dataset(run: Run) -> str:
    """Changes when the dataset is made anew, with the same settings too: models do not write the same twice."""
    return fingerprint_of([read_identity(run.dataset.folder), run.dataset.record().values()])[:16]


def _claim(artefact: Artefact[R], settings: dict[str, Any], report: Report, what: str) -> None:
    """Claim a folder; half-made data of other settings, such as those that a refusal asked to change, goes."""
    folder = artefact.folder
    is_half_made = not artefact.is_complete() and (made_with := read_identity(folder)) is not None
    if is_half_made and made_with != settings:
        report(f"{what}: partly made with other settings; starting over")
        folder.delete()
    artefact.claim(settings)


def _begin_or_go_on(
    artefact: Artefact[R], settings: dict[str, Any], fingerprint: str, report: Report, what: str
) -> None:
    """Keep what an interrupted job has done, unless its input was another."""
    folder = artefact.folder
    if folder.exists(_PLAN_FILE):
        if folder.read_json(_PLAN_FILE) == {"fingerprint": fingerprint}:
            report(f"{what}: resuming, {len(folder.list_names(INDEX)):,} are done")
            return
        report(f"{what}: the inputs have changed since the job was interrupted; starting over")
        folder.delete()
        artefact.claim(settings)
    folder.write_json(_PLAN_FILE, {"fingerprint": fingerprint})


def _tokenize(
    config: RunConfig,
    folder: Folder,
    name: str,
    parts: Sequence[WorkUnit],
    tokenizer: Tokenizer,
    report: Report,
) -> TokensRecord:
    assert config.train is not None
    kind = config.train.sources[name].kind
    tokenize = partial(_tokenize_numbered, folder=folder, tokenizer=tokenizer, kind=kind)
    title, interval_sec = f"tokens of {name}: parts read", config.progress.log_interval_sec
    done = dict(run_tasks(parts, tokenize, title, report, interval_sec))
    record = _add_up([done[index] for index in sorted(done)])
    num_rejects = sum(record.num_rejects.values())
    num_rows = record.num_examples + num_rejects
    if not num_rows:
        kinds = f" of kind {kind}" if kind else ""
        raise UserError(
            f"train.sources.{name}: holds no row{kinds}; leave it out of all mixes, or give another"
        )
    losses = Losses(
        num_rows,
        num_rejects,
        {file for each in done.values() for file in each.broken_files},
        sum(each.lost_bytes for each in done.values()),
    )
    files = {file.name: file for part in parts for file in part.files}
    share, words = losses.largest_share(files.values(), "can't be trained on")
    if share > MOST_REJECTED_SHARE:
        first = next(done[index].first_reject for index in sorted(done) if done[index].first_reject)
        raise UserError(
            f"train.sources.{name}: {words} ({tally(record.num_rejects)}); fix them or give others; all are in "
            f"{(folder / REJECTS_DIR).uri}, the first is {first}"
        )
    return record


def _tokenize_numbered(part: WorkUnit, **settings: Any) -> tuple[int, PartRecord]:
    return part.index, tokenize_part(part, **settings)


def _add_up(records: Sequence[PartRecord]) -> TokensRecord:
    rejects: Counter[str] = Counter()
    without_response: Counter[str] = Counter()
    for record in records:
        rejects.update(record.num_rejects)
        without_response.update(record.num_without_response)
    return TokensRecord(
        num_examples=sum(record.num_examples for record in records),
        num_tokens=sum(record.num_tokens for record in records),
        num_rejects=dict(sorted(rejects.items())),
        num_without_response=dict(sorted(without_response.items())),
        fingerprint=fingerprint_of([record.digest for record in records])[:16],
    )


def _record_of_stage(plan: PackingPlan, store: SequenceStore) -> StageDataRecord:
    num_targets = sum(store.num_targets(index) for index in range(store.num_sequences))
    return StageDataRecord(
        num_sequences=store.num_sequences,
        seq_tokens=store.seq_tokens,
        num_units=len(plan.unit_source),
        num_targets=num_targets,
        padding_share=plan.num_padding / (store.num_sequences * store.seq_tokens),
        sources=plan.shares,
    )


def _summary_of_tokens(name: str, record: TokensRecord) -> str:
    rejects = record.num_rejects
    rejected = f", rejected {sum(rejects.values()):,} ({tally(rejects)})" if rejects else ""
    return f"tokens of {name}: {record.num_tokens:,} of {record.num_examples:,} examples{rejected}"


def _summary_of_stage(name: str, record: StageDataRecord) -> str:
    parts = []
    for source, facts in record.sources.items():
        left_out = f", left out {tally(facts.left_out)}" if facts.left_out else ""
        parts.append(f"{source} {facts.share:.1%} in {facts.num_epochs:.2f} epochs{left_out}")
    return (
        f"data of {name}: {record.num_sequences:,} sequences of {record.seq_tokens:,} tokens, "
        f"{record.padding_share:.1%} padding; {'; '.join(parts)}"
    )
