"""The synthesis job on Ray: seeds → agent actors → results → dataset. Each seed gives one row."""

from collections import defaultdict
from dataclasses import replace
from functools import partial
from itertools import islice

import pyarrow.dataset as pads
import ray
from ray.data import ActorPoolStrategy, DataContext
from ray.data.checkpoint import CheckpointConfig

from app.agent.words import WordWeights
from app.cluster.faults import users_faults
from app.cluster.tasks import fetch, run_tasks
from app.config import Config, PipelineConfig
from app.dataset.agent_actor import AgentActor
from app.dataset.card import CARD_FILE
from app.dataset.excerpts import read_examples, shorten_example
from app.dataset.exports import RL_DIR, write_rl
from app.dataset.finishing import finish_dataset
from app.dataset.identity import identity_of_dataset
from app.dataset.publish import publish_dataset
from app.dataset.reject_share import TooManyRejectsError, take_back
from app.dataset.result_rows import RESULTS_DIR
from app.dataset.seeds import (
    NO_BOUND,
    SEEDS_DIR,
    Candidates,
    LowestCandidates,
    draw_seeds,
    fill_part,
    num_seeds_of,
    priority_bound,
    scan_part,
)
from app.dataset.shards import EXAMPLES_DIR
from app.dataset.shuffling import measure_shuffled
from app.dataset.statistics import REJECTS_DIR
from app.dataset.verified import SHUFFLED_FILE, forget_shuffled, reopen_for_thresholds
from app.dataset.word_shares import WORD_SHARES_FILE, write_word_shares
from app.endpoints.keys import read_api_key
from app.progress.actor import start_progress_actor, watch
from app.progress.attempts import Report
from app.progress.view import ProgressView
from app.records.dataset import DatasetRecord, SeedsRecord
from app.retrieval.actors import RetrieverPool, start_retrievers
from app.run import PASSAGES_DIR, Artefact, Run
from app.schema import Seed
from app.storage import Folder

CHECKPOINT, CALLS = "_checkpoint", "_calls"
ID_COLUMN = "seed_id"


def synthesize(config: Config, run: Run, report: Report) -> DatasetRecord:
    """Make the dataset of a run whose corpus and index are complete, or go on with it.

    Raises:
        UserError: The folder was made with other settings, the corpus has too few documents for the long outputs,
            or no seed became an example.
    """
    run.dataset.claim(identity_of_dataset(config, run.index.record()))
    if reopen_for_thresholds(config, run.dataset.folder):
        report("dataset: other thresholds than it was finished with; finishing it again")
    if not run.dataset.is_complete():
        num_seeds = write_seeds(config, run, report)
        try:
            make_results(config, run, num_seeds, report)
            _score_shuffled(config, run.dataset.folder)
            run.dataset.complete(_finish(config, run, num_seeds))
        except TooManyRejectsError as error:
            folder = run.dataset.folder
            take_back(folder / RESULTS_DIR, folder / CHECKPOINT, folder / CALLS, error.step, error.reason)
            forget_shuffled(folder)
            raise
    # Other thresholds make other examples of the same results.
    finished = () if config.agent.verification.is_on else (RESULTS_DIR, CHECKPOINT)
    for name in finished if config.dataset.keep_calls else (*finished, CALLS):
        (run.dataset.folder / name).delete()
    record = run.dataset.record()
    show_dataset(config, run.dataset.folder, record, report)
    if "rl" in config.dataset.exports:
        num_rows = fetch(ray.remote(write_rl).remote(run.dataset.folder))
        report(f"exported: {num_rows:,} examples with keys, {(run.dataset.folder / RL_DIR).uri}")
    publish = config.dataset.publish
    token = read_api_key("dataset.publish.token_env", publish.token_env) if publish.repo else None
    if address := publish_dataset(run.dataset.folder, publish, token):
        report(f"published: {address}")
    return record


def write_seeds(config: Config, run: Run, report: Report) -> int:
    """Draw the seeds and write them with their texts, a file for each part of the corpus; return their number.

    Meanwhile the corpus's words are counted.
    """
    seeds = Artefact(run.dataset.folder / SEEDS_DIR, SeedsRecord)
    if not seeds.is_complete():
        corpus = run.corpus.folder
        num_passages, interval_sec = run.corpus.record().num_passages, config.progress.log_interval_sec
        wanted = num_seeds_of(config.dataset)
        of_passages = {kind: min(wanted[kind], num_passages) for kind in wanted if kind != "long_output"}
        bound = priority_bound(max(of_passages.values()), num_passages)
        shares = ray.remote(write_word_shares).remote(corpus, run.dataset.folder)
        candidates = _draw_candidates(config, corpus, bound, report)
        if any(len(candidates[kind]) < count for kind, count in of_passages.items()):
            candidates = _draw_candidates(config, corpus, NO_BOUND, report)
        by_part: dict[str, list[Seed]] = defaultdict(list)
        for drawn in draw_seeds(config, candidates):
            by_part[drawn.part].append(drawn.seed)
        fill = partial(_write_part, corpus, seeds.folder)
        num_seeds = sum(
            run_tasks(sorted(by_part.items()), fill, "seeds written, parts", report, interval_sec)
        )
        fetch(shares)
        seeds.complete(SeedsRecord(num_seeds=num_seeds))
    return seeds.record().num_seeds


def _draw_candidates(config: Config, corpus: Folder, bound: int, report: Report) -> Candidates:
    """The whole corpus's candidates by priority; of passages, those below `bound`."""
    parts = (corpus / PASSAGES_DIR).list_names(".parquet")
    lowest = {kind: LowestCandidates(count) for kind, count in num_seeds_of(config.dataset).items()}
    scan = partial(scan_part, corpus, config, bound=bound)
    interval_sec = config.progress.log_interval_sec
    for found in run_tasks(parts, scan, "seeds drawn from parts", report, interval_sec):
        for kind, candidates in found.items():
            lowest[kind].add(candidates)
    return {kind: candidates.lowest() for kind, candidates in lowest.items()}


def make_results(config: Config, run: Run, num_seeds: int, report: Report) -> None:
    """Run the agent over all seeds that have no committed result yet."""
    folder = run.dataset.folder
    num_done = count_committed(folder / CHECKPOINT)
    if num_done == num_seeds:
        return
    if num_done:
        report(f"synthesize: resuming, {num_done} of {num_seeds} seeds are done")
    pipeline = config.pipeline
    weights = WordWeights(folder.read_json(WORD_SHARES_FILE))
    retrievers = start_retrievers(config, run)
    progress = start_progress_actor(run.folder.path.rpartition("/")[2], num_seeds, num_done)
    try:
        with DataContext.current(_context(folder / CHECKPOINT, pipeline)):
            seeds = ray.data.read_parquet(
                (folder / SEEDS_DIR).path, filesystem=folder.filesystem, file_extensions=["parquet"]
            )
            # A block is what an actor takes, what is committed, and what a crash can lose; those that are read are as
            # large as memory allows, whatever `override_num_blocks` says.
            seeds = seeds.repartition(target_num_rows_per_block=pipeline.rows_per_batch)
            results = seeds.map_batches(
                AgentActor,
                fn_constructor_args=(config, folder / CALLS, RetrieverPool(retrievers), progress, weights),
                batch_size=pipeline.rows_per_batch,
                batch_format="pyarrow",
                compute=ActorPoolStrategy(
                    min_size=pipeline.min_actors,
                    max_size=pipeline.max_actors,
                    max_concurrent_calls_per_actor=pipeline.batches_per_actor,
                    # One more waits at the actor, so that its engine is not idle between two batches. No more, as
                    # actors that come later could not have them.
                    max_tasks_in_flight_per_actor=pipeline.batches_per_actor + 1,
                ),
                num_cpus=pipeline.cpus_per_actor,
                num_gpus=pipeline.gpus_per_actor,
                label_selector=pipeline.node_labels,
            )
            view = ProgressView(run.dataset.folder, config.progress.log_interval_sec)
            with watch(progress, view), users_faults():
                results.write_parquet((folder / RESULTS_DIR).path, filesystem=folder.filesystem)
    finally:
        for actor in (*retrievers, progress):
            ray.kill(actor)
    num_done = count_committed(folder / CHECKPOINT)
    assert num_done == num_seeds, f"{num_done} of {num_seeds} seeds have a result"


def _context(checkpoint: Folder, pipeline: PipelineConfig) -> DataContext:
    """The caller's settings of Ray Data with a row-level checkpoint and a pool of actors that grows."""
    context = DataContext.get_current().copy()
    context.checkpoint_config = CheckpointConfig(
        id_column=ID_COLUMN,
        checkpoint_path=checkpoint.path,
        override_filesystem=checkpoint.filesystem,
        delete_checkpoint_on_success=False,
    )
    context.raise_original_map_exception = True
    # It grows when a batch waits at every actor. Ray's own threshold, three waiting for four that are worked on, would
    # never be reached.
    context.autoscaling_config = replace(
        context.autoscaling_config, actor_pool_util_upscaling_threshold=1 + 0.5 / pipeline.batches_per_actor
    )
    return context


def show_dataset(config: Config, dataset: Folder, record: DatasetRecord, report: Report) -> None:
    """Tell what was made, where it is, and show a few examples, shortened to read."""
    kinds = ", ".join(
        f"{facts.num_examples:,} {kind.replace('_', '-')}" for kind, facts in record.kinds.items()
    )
    for example in islice(read_examples(dataset), config.progress.num_shown_examples):
        report(shorten_example(example) + "\n")
    report(
        f"dataset: {record.num_examples:,} examples ({kinds}), {record.num_tokens:,} tokens, "
        f"{record.num_rejects:,} rejects\n"
        f"  examples  {(dataset / EXAMPLES_DIR).uri}\n"
        f"  card      {(dataset / CARD_FILE).uri}\n"
        f"  rejects   {(dataset / REJECTS_DIR).uri}"
    )


def count_committed(checkpoint: Folder) -> int:
    """Seeds whose result is written and committed."""
    # Ray writes `X.pending.parquet` before the rows and renames it after them.
    names = [name for name in checkpoint.list_names(".parquet") if not name.endswith(".pending.parquet")]
    if not names:
        return 0
    files = pads.dataset([checkpoint.file(name) for name in names], filesystem=checkpoint.filesystem)
    return len(set(files.to_table(columns=[ID_COLUMN])[ID_COLUMN].to_pylist()))


def _score_shuffled(config: Config, folder: Folder) -> None:
    """Measure shuffled answers, with an engine of its own: the actors and theirs are gone."""
    verification, pipeline = config.agent.verification, config.pipeline
    wanted = verification.signals and verification.num_shuffled_rows and config.dataset.num_long_input_seeds
    if not wanted or folder.exists(SHUFFLED_FILE):
        return
    task = ray.remote(measure_shuffled).options(
        num_cpus=pipeline.cpus_per_actor,
        num_gpus=pipeline.gpus_per_actor,
        label_selector=pipeline.node_labels,
    )
    fetch(task.remote(config, folder, folder / RESULTS_DIR, folder / CALLS))


def _finish(config: Config, run: Run, num_seeds: int) -> DatasetRecord:
    """Finish the dataset in a task: the driver's memory holds none of it."""
    folder = run.dataset.folder
    task = ray.remote(finish_dataset).remote(config, folder, folder / RESULTS_DIR, num_seeds)
    record: DatasetRecord = fetch(task)
    if not record.num_examples:
        reasons = ", ".join(f"{row.reason} {row.num_rejects}" for row in record.rejects[:3])
        raise TooManyRejectsError(
            f"dataset: none of {num_seeds} seeds became an example ({reasons}); see {(folder / REJECTS_DIR).uri}, "
            f"fix that, and the same command makes them again"
        )
    return record


def _write_part(corpus: Folder, folder: Folder, drawn: tuple[str, list[Seed]]) -> int:
    part, seeds = drawn
    folder.write_table(part, fill_part(corpus, part, seeds))
    return len(seeds)
