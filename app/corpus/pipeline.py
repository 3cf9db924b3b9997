"""Documents → passages on a Ray cluster: runs the steps of `app.corpus` as tasks, one per unit or shard.

The driver knows files, units and counts, never a document. Whatever is done is on storage, so that a job that was
interrupted goes on where it was; the parts and their names do not depend on the number of workers.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from app.cluster.tasks import fetch, run_tasks
from app.config import Config
from app.corpus.changes import describe_changes, record_inputs
from app.corpus.decontamination import Contaminants, EvaluationText, list_evaluation_files, read_contaminants
from app.corpus.identity import identity_of_corpus
from app.corpus.malformed import check_malformed
from app.corpus.repeats import find_edges, plan_edge_tasks, resolve_repeats
from app.corpus.shards import CorpusLayout, ShardName
from app.corpus.sources import SourceFile, list_files
from app.corpus.steps import ShardRecord, UnitRecord, finish_shard, scan_unit
from app.corpus.units import WorkUnit, fingerprint_of_plan, plan_units
from app.faults import UserError
from app.progress.attempts import Report
from app.quantities import short, tally
from app.records.documents import CorpusRecord, Decontamination
from app.run import Run, fingerprint_of
from app.storage import Folder
from app.tokens import Tokenizer

_PLAN_FILE = "plan.json"


def build_corpus(config: Config, run: Run, report: Report) -> CorpusRecord:
    """Make the run's corpus, go on with a half-done one, or return the record of a complete one.

    Args:
        config: The run's settings.
        run: The run that the corpus belongs to.
        report: Takes one line for the person who watches.

    Raises:
        UserError: A source is missing, too many rows are malformed, no document is left, or the folder was
            made with other settings.
    """
    run.corpus.claim(identity_of_corpus(config))
    layout = CorpusLayout(run.corpus.folder)
    files = list_files(config.corpus.sources, excluded=Folder(config.run_dir))
    evaluation = list_evaluation_files(config.corpus.decontamination)
    if run.corpus.is_complete():
        record = run.corpus.record()
        if changes := describe_changes(layout.root, [*files, *evaluation.files]):
            report(changes)
    else:
        record = _Build(config, layout, report).run(files, evaluation)
        record_inputs(layout.root, [*files, *evaluation.files])
        run.corpus.complete(record)
    layout.scan.delete()
    report(_summary(record))
    return record


@dataclass(frozen=True)
class _Build:
    """One job that runs the steps in order."""

    config: Config
    layout: CorpusLayout
    report: Report

    def run(self, files: Sequence[SourceFile], evaluation: EvaluationText) -> CorpusRecord:
        settings = self.config.corpus
        units = plan_units(files, settings.documents_per_shard)
        self.report(f"corpus: {len(files):,} files")
        self._begin_or_go_on(units, evaluation.files)
        contaminants = _start_reading_contaminants(evaluation.files, settings.decontamination.ngram_words)
        compared, line = fetch(_describe.remote(contaminants))
        self.report(line)
        if evaluation.left_out:
            shown = ", ".join(evaluation.left_out[:3])
            self.report(
                f"corpus: not compared with {len(evaluation.left_out):,} other files there, such as {shown}"
            )
        scanned = self._scan(units)
        rejects_uri = self.layout.rejects.uri
        self.report(check_malformed([*scanned.values()], files, settings.max_reject_share, rejects_uri))
        self._find_repeats(sum(sum(record.shard_documents) for record in scanned.values()))
        finished = self._finish(scanned, contaminants)
        record = _add_up(identity_of_corpus(self.config), scanned.values(), finished, compared)
        if not record.num_documents:
            raise UserError(f"corpus.sources: no document is left ({_summary(record)}); give other sources")
        return record

    def _begin_or_go_on(self, units: Sequence[WorkUnit], evaluation: Sequence[SourceFile]) -> None:
        """Keep what an interrupted job has done, unless its input files were others."""
        compared = [(file.path, file.num_bytes, file.mtime_ns) for file in evaluation]
        plan = {"num_units": len(units), "fingerprint": fingerprint_of_plan(units, compared)}
        scan = self.layout.scan
        if scan.exists(_PLAN_FILE) and scan.read_json(_PLAN_FILE) == plan:
            num_done = sum(name.startswith("unit-") for name in scan.list_names(".json"))
            self.report(f"corpus: resuming, {num_done:,} of {len(units):,} units are read")
            return
        if scan.exists():
            self.report("corpus: the input files have changed since the job was interrupted; starting over")
        for folder in (scan, self.layout.documents, self.layout.passages, self.layout.rejects):
            folder.delete()
        scan.write_json(_PLAN_FILE, plan)

    def _scan(self, units: Sequence[WorkUnit]) -> dict[int, UnitRecord]:
        scan = partial(_scan_numbered, layout=self.layout, settings=self.config.corpus)
        return dict(sorted(run_tasks(units, scan, "corpus: units read", self.report, self._interval_sec)))

    def _find_repeats(self, num_documents: int) -> None:
        dedup = self.config.corpus.dedup
        tasks = plan_edge_tasks(num_documents, dedup)
        find = partial(find_edges, layout=self.layout, settings=dedup)
        for _ in run_tasks(tasks, find, "corpus: searches for repeats", self.report, self._interval_sec):
            pass
        fetch(_resolve_repeats.remote(tasks, self.layout, dedup))

    def _finish(self, scanned: dict[int, UnitRecord], contaminants: Any) -> list[ShardRecord]:
        """Records of all shards in the corpus's order."""
        names = [
            ShardName(unit_index, shard_index)
            for unit_index, record in scanned.items()
            for shard_index in range(len(record.shard_documents))
        ]
        tokenizer = Tokenizer(self.config.generator_tokenizer, self.config.generator.revision)
        finish = partial(
            _finish_named,
            layout=self.layout,
            settings=self.config.corpus,
            tokenizer=tokenizer,
            contaminants=contaminants,
        )
        done = dict(run_tasks(names, finish, "corpus: shards cut", self.report, self._interval_sec))
        return [done[name] for name in names]

    @property
    def _interval_sec(self) -> float:
        return self.config.progress.log_interval_sec


def _scan_numbered(unit: WorkUnit, **settings: Any) -> tuple[int, UnitRecord]:
    return unit.index, scan_unit(unit, **settings)


def _finish_named(shard: ShardName, contaminants: Any, **settings: Any) -> tuple[ShardName, ShardRecord]:
    return shard, finish_shard(shard, contaminants=ray.get(contaminants), **settings)


_resolve_repeats = ray.remote(num_cpus=1)(resolve_repeats)


@ray.remote(num_cpus=0)
def _describe(contaminants: Contaminants) -> tuple[Decontamination, str]:
    compared = Decontamination(
        num_files=contaminants.num_files,
        num_strings=contaminants.num_strings,
        num_ngrams=contaminants.num_ngrams,
    )
    return compared, contaminants.describe()


def _start_reading_contaminants(files: Sequence[SourceFile], ngram_words: int) -> Any:
    """Begin on this node, where the files were found; all tasks of a node share the result's memory."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return _read_contaminants.options(scheduling_strategy=here).remote(files, ngram_words)


_read_contaminants = ray.remote(num_cpus=0)(read_contaminants)


def _count_reasons(scanned: Iterable[UnitRecord]) -> Counter[str]:
    reasons: Counter[str] = Counter()
    for record in scanned:
        reasons.update(record.num_rejects)
    return reasons


def _add_up(
    identity: dict[str, Any],
    scanned: Iterable[UnitRecord],
    finished: Sequence[ShardRecord],
    compared: Decontamination,
) -> CorpusRecord:
    records = list(scanned)
    malformed = _count_reasons(records)
    num_rows = sum(sum(record.shard_documents) for record in records) + malformed.total()
    num_rejects = {"read": dict(sorted(malformed.items()))} if malformed else {}
    for shard in finished:
        for step, reasons in shard.num_rejects.items():
            num_rejects[step] = dict(Counter(num_rejects.get(step, {})) + Counter(reasons))
    return CorpusRecord(
        num_documents=sum(shard.num_documents for shard in finished),
        num_passages=sum(shard.num_passages for shard in finished),
        num_tokens=sum(shard.num_tokens for shard in finished),
        num_chars=sum(shard.num_chars for shard in finished),
        max_document_tokens=max(shard.max_document_tokens for shard in finished),
        num_rows=num_rows,
        num_rejects=num_rejects,
        reject_share=malformed.total() / num_rows,
        decontamination=compared,
        fingerprint=fingerprint_of([[shard.ids_hash for shard in finished], identity]),
    )


def _summary(record: CorpusRecord) -> str:
    rejects = dict(record.num_rejects)
    malformed: Counter[str] = Counter(rejects.pop("read", {}))
    parts = [f"rejected {malformed.total():,}" + (f" ({tally(malformed)})" if malformed else "")]
    parts += [f"{tally(reasons)}" for reasons in rejects.values()]
    return (
        f"corpus: {record.num_documents:,} documents, {short(record.num_tokens)} tokens, "
        f"{record.num_passages:,} passages; {', '.join(parts)}"
    )
