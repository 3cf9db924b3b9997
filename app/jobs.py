"""The jobs: what each verb checks and does. A new one is an entry of `JOBS` and a file in `ray_jobs/`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.config import Config, RunConfig
    from app.run import Run

Report = Callable[[str], None]
"""Takes one line for the person who watches."""


@dataclass(frozen=True)
class Job:
    """One verb of the command line."""

    summary: str
    """What it does, in a line of the help."""
    check: Callable[["RunConfig"], None]
    """Raises a ValueError for settings that cannot work, before Ray is there."""
    work: Callable[["RunConfig", "Run", Report], None]
    """Does it; Ray is connected."""


def run_job(verb: str, config: "RunConfig") -> None:
    """Check the settings against the files, connect to Ray and do the job.

    Raises:
        ValueError: the settings cannot work.
    """
    job = JOBS[verb]
    job.check(config)

    # Slow imports wait until the settings have passed.
    from app.cluster import connect
    from app.run import Run

    run = Run(config.run_dir)
    with connect(config.ray):
        # What the run was started with, until the settings are known to be accepted: a refused start changes nothing.
        if not run.folder.exists("config.json"):
            run.write_config(config)
        job.work(config, run, _print_line)
        run.write_config(config)


def _print_line(text: str) -> None:
    print(text, flush=True)


def _with_documents(config: "RunConfig") -> "Config":
    """The same settings, once it is known that they say where the documents come from."""
    from app.config import Config

    if not isinstance(config, Config):
        raise ValueError(
            "corpus: is missing, and there are no documents without it; set corpus.sources in the recipe"
        )
    return config


def _check_index(config: "RunConfig") -> None:
    from app.preflight import check_index

    check_index(_with_documents(config))


def _check_synthesis(config: "RunConfig") -> None:
    from app.preflight import check_synthesis

    check_synthesis(_with_documents(config))


def _index(settings: "RunConfig", run: "Run", report: Report) -> None:
    from app.indexing.corpus_pipeline import build_corpus
    from app.indexing.index_pipeline import build_index

    config = _with_documents(settings)
    build_corpus(config, run, report)
    build_index(config, run, report)


def _synthesize(settings: "RunConfig", run: "Run", report: Report) -> None:
    from app.dataset.pipeline import synthesize
    from app.indexing.corpus_pipeline import build_corpus
    from app.indexing.index_pipeline import build_index
    from app.preflight import check_targets_fit

    config = _with_documents(settings)
    build_corpus(config, run, report)
    check_targets_fit(config, run.corpus.record()["num_tokens"])
    build_index(config, run, report)
    synthesize(config, run, report)


def _check_training(config: "RunConfig") -> None:
    from app.training.preflight import check_training

    check_training(config)


def _train(config: "RunConfig", run: "Run", report: Report) -> None:
    from app.training.stages import train

    train(config, run, report)


JOBS = {
    "index": Job("documents to passages and a vector index", _check_index, _index),
    "synthesize": Job("the dataset; makes the index if it is not there", _check_synthesis, _synthesize),
    "train": Job("the stages, from the dataset to an exported model", _check_training, _train),
}
