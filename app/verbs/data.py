"""The verbs that make documents searchable and a dataset of them, and show the dataset. Slow imports wait in here."""

from typing import TYPE_CHECKING

from app.faults import UserError

if TYPE_CHECKING:
    from app.config import Config, RunConfig
    from app.progress.attempts import Report
    from app.run import Run


def with_documents(config: "RunConfig") -> "Config":
    """The settings as a `Config`, which says where the documents come from.

    Raises:
        UserError: They name no documents.
    """
    from app.config import Config

    if not isinstance(config, Config):
        raise UserError(
            "corpus: is missing, and there are no documents without it; set corpus.sources in the recipe"
        )
    return config


def check_index(config: "RunConfig") -> None:
    from app.retrieval import preflight

    preflight.check_index(with_documents(config))


def make_index(settings: "RunConfig", run: "Run", report: "Report") -> None:
    from app.corpus.pipeline import build_corpus
    from app.retrieval.pipeline import build_index

    config = with_documents(settings)
    build_corpus(config, run, report)
    build_index(config, run, report)


def check_synthesis(config: "RunConfig") -> None:
    from app.dataset import preflight

    preflight.check_synthesis(with_documents(config))


def make_dataset(settings: "RunConfig", run: "Run", report: "Report") -> None:
    from app.dataset.pipeline import synthesize

    config = with_documents(settings)
    _make_documents(config, run, report)
    synthesize(config, run, report)


def check_preview(config: "RunConfig") -> None:
    from app.viewing.preview_settings import preview_config

    check_synthesis(preview_config(with_documents(config)))


def make_preview(settings: "RunConfig", run: "Run", report: "Report") -> None:
    from app.viewing.preview import preview

    config = with_documents(settings)
    _make_documents(config, run, report)
    preview(config, run, report)


def check_view(config: "RunConfig") -> None:
    from app.bootstrap.status import require_run
    from app.checks import check_run_dir

    require_run("run_dir", config.run_dir)
    check_run_dir(config)


def show_dataset(config: "RunConfig") -> str:
    """Write the page of a finished dataset; return a line that says where it is."""
    from app.run import Run
    from app.viewing.page import write_view

    return f"open      {write_view(Run(config.run_dir), config.view)}"


def _make_documents(config: "Config", run: "Run", report: "Report") -> None:
    """Corpus and index, as far as a dataset needs them."""
    from app.corpus.pipeline import build_corpus
    from app.dataset.preflight import check_targets_fit, fillable_tokens
    from app.retrieval.pipeline import build_index

    build_corpus(config, run, report)
    check_targets_fit(config, fillable_tokens(config, run.corpus.folder))
    build_index(config, run, report)
