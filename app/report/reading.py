"""Reads a run's folder for the report. Anything that is not there yet is None or empty."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import pyarrow.fs as pafs
import pyarrow.parquet as pq

from app.config import RunConfig, StageConfig
from app.dataset.excerpts import Excerpt, excerpt_example, read_examples
from app.dataset.pictures import DEPTHS_PICTURE, LENGTHS_PICTURE
from app.dataset.statistics import REJECTS_DIR, STATISTICS_FILE
from app.models.known import find_max_tokens
from app.progress.attempts import Attempt, read_attempts
from app.records.dataset import DatasetStatistics
from app.records.documents import CorpusRecord, IndexRecord
from app.records.gate import GateRecord
from app.records.probe import RopeSearchRecord
from app.records.training import StageRecord
from app.run import COMPLETE_FILE, CONFIG_FILE, DATA_DIR, REPORT_FILE, Artefact, R, Run, later_rounds
from app.storage import Folder
from app.training.data.inputs import tokens_of
from app.training.metrics import read_records

TOKENS_DIR = "train/_tokens"
EVALUATION_DIR = "eval"
EVALUATION_SECTION = "section.html"
EVALUATION_HEADLINE = "headline.html"
NUM_EXAMPLES = 3
EXAMPLE_CHARS = 900
NUM_REJECTS_READ = 1000
"""Of which one is shown for each reason."""


@dataclass(frozen=True)
class TrainedStage:
    """One stage, as far as it is."""

    settings: StageConfig
    record: StageRecord | None
    """Written when it is complete."""
    steps: list[dict[str, Any]]
    """A record of each optimizer step."""
    search: RopeSearchRecord | None = None
    """What the search for its RoPE found, where it has searched."""

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def num_tokens(self) -> int | None:
        """Trained on so far."""
        return self.steps[-1]["tokens_seen"] if self.steps else None


@dataclass(frozen=True)
class RunFacts:
    """Everything that the report tells, but for the settings and the plan."""

    name: str
    uri: str
    written_sec: float
    """When it was read; since 1970."""
    has_own_documents: bool = True
    """Whether the run has its own corpus and index, not another run's."""
    base_max_tokens: int | None = None
    """Longest sequence that the model can read before it is extended."""
    corpus: CorpusRecord | None = None
    """Record of the corpus, once it is complete."""
    index: IndexRecord | None = None
    statistics: DatasetStatistics | None = None
    """Statistics of the dataset, once it is complete."""
    pictures: dict[str, bytes] = field(default_factory=dict)
    """Pictures of the dataset, by file name."""
    examples: list[Excerpt] = field(default_factory=list)
    reject_details: dict[tuple[str, str], str] = field(default_factory=dict)
    """Step and reason → what is said of one such reject."""
    stages: list[TrainedStage] = field(default_factory=list)
    gates: dict[str, GateRecord] = field(default_factory=dict)
    """Stage → what its gate measured."""
    evaluation: str | None = None
    """The evaluation's own section of this page, HTML."""
    growth: str | None = None
    """The evaluation's own headline, HTML: how far the context has grown."""
    attempts: list[Attempt] = field(default_factory=list)
    num_bytes: dict[str, int] = field(default_factory=dict)
    """Folder of the run → size of all its files."""
    fingerprints: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    later_rounds: dict[str, bool] = field(default_factory=dict)
    """Folder of each round after the first, and whether it has a report."""


def read_facts(config: RunConfig, run: Run) -> RunFacts:
    """Read the whole run: small files, a few rows of the dataset, and the sizes of all."""
    folder = run.folder
    stages = [] if config.train is None else [_read_stage(run, stage) for stage in config.train.stages]
    has_dataset = run.dataset.is_complete()
    recorded = _read_json(folder, CONFIG_FILE) or {}
    return RunFacts(
        name=folder.path.rpartition("/")[2],
        uri=folder.uri,
        written_sec=time.time(),
        has_own_documents=run.corpus.folder.uri == (folder / "corpus").uri,
        base_max_tokens=_base_max_tokens(config),
        corpus=_record(run.corpus),
        index=_record(run.index),
        statistics=DatasetStatistics.read(run.dataset.folder, STATISTICS_FILE) if has_dataset else None,
        pictures=_read_pictures(run.dataset.folder) if has_dataset else {},
        examples=_read_excerpts(run.dataset.folder) if has_dataset else [],
        reject_details=_read_reject_details(run.dataset.folder / REJECTS_DIR) if has_dataset else {},
        stages=stages,
        gates={stage.name: gate for stage in stages if (gate := run.gate(stage.name))},
        evaluation=_read_text(run.evaluation_report, EVALUATION_SECTION),
        growth=_read_text(run.evaluation_report, EVALUATION_HEADLINE),
        attempts=read_attempts(folder),
        num_bytes=_sizes(folder, stages),
        fingerprints=dict(_fingerprints(run, stages)),
        versions=recorded.get("versions", {}),
        later_rounds={
            each.path.rpartition("/")[2]: each.exists(REPORT_FILE) for each in later_rounds(folder)
        },
    )


def folder_bytes(folder: Folder) -> int:
    """Total size of the files in a folder; 0 if there is no such folder."""
    selector = pafs.FileSelector(folder.path, recursive=True, allow_not_found=True)
    return sum(info.size for info in folder.filesystem.get_file_info(selector) if info.is_file)


def _record(artefact: Artefact[R]) -> R | None:
    return artefact.record() if artefact.is_complete() else None


def _read_json(folder: Folder, name: str) -> dict[str, Any] | None:
    found = folder.read_json(name) if folder.exists(name) else None
    return found if isinstance(found, dict) else None


def _read_text(folder: Folder, name: str) -> str | None:
    return folder.read_bytes(name).decode("utf-8", "replace") if folder.exists(name) else None


def _base_max_tokens(config: RunConfig) -> int | None:
    if config.train is None:
        return None
    try:
        model, revision = config.trained_model
        return find_max_tokens("train.model", model, revision)
    except ValueError:
        # A model that is gone since then: the run that it made is told of all the same.
        return None


def _read_pictures(dataset: Folder) -> dict[str, bytes]:
    names = (LENGTHS_PICTURE, DEPTHS_PICTURE)
    return {name: dataset.read_bytes(name) for name in names if dataset.exists(name)}


def _read_excerpts(dataset: Folder) -> list[Excerpt]:
    return [excerpt_example(row, EXAMPLE_CHARS) for row in islice(read_examples(dataset), NUM_EXAMPLES)]


def _read_reject_details(folder: Folder) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for row in islice(_read_rejects(folder), NUM_REJECTS_READ):
        found.setdefault((row["step"], row["reason"]), row["detail"] or "")
    return found


def _read_rejects(folder: Folder) -> Iterator[dict[str, Any]]:
    for name in folder.list_names(".parquet"):
        with pq.ParquetFile(folder.file(name), filesystem=folder.filesystem) as file:
            for batch in file.iter_batches(batch_size=NUM_REJECTS_READ):
                yield from batch.to_pylist()


def _read_stage(run: Run, settings: StageConfig) -> TrainedStage:
    artefact = run.stage(settings.name)
    search = _record(run.rope_search(settings.name))
    return TrainedStage(settings, _record(artefact), read_records(artefact.folder), search)


def _sizes(run: Folder, stages: list[TrainedStage]) -> dict[str, int]:
    names = ["corpus", "index", "dataset", TOKENS_DIR, *(f"train/{stage.name}" for stage in stages)]
    sizes = {name: folder_bytes(run / name) for name in [*names, EVALUATION_DIR]}
    return {name: num_bytes for name, num_bytes in sizes.items() if num_bytes}


def _fingerprints(run: Run, stages: list[TrainedStage]) -> Iterator[tuple[str, str]]:
    """Where each is written, and the fingerprint: what later steps compare before they go on."""
    if corpus := _record(run.corpus):
        yield f"corpus/{COMPLETE_FILE}", corpus.fingerprint
    if index := _record(run.index):
        yield f"index/{COMPLETE_FILE}, embedding model", index.retrieval.model_files
    sources = sorted({source for stage in stages for source in stage.settings.mix})
    for source in sources:
        if tokens := _record(tokens_of(run, source)):
            yield f"{TOKENS_DIR}/{source}/{COMPLETE_FILE}", tokens.fingerprint
    for stage in stages:
        if plan := _read_json(run.stage(stage.name).folder / DATA_DIR, "plan.json"):
            yield f"train/{stage.name}/data/plan.json", plan["fingerprint"]
