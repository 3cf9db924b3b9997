"""The verbs that are about a whole run: the loop, its report, its plan. Slow imports wait in here."""

from typing import TYPE_CHECKING

from app.verbs.data import with_documents

if TYPE_CHECKING:
    from app.config import RunConfig
    from app.progress.attempts import Report
    from app.run import Run


def check_bootstrap(config: "RunConfig") -> None:
    from app.bootstrap import preflight

    preflight.check_bootstrap(with_documents(config))


def run_loop(config: "RunConfig", run: "Run", report: "Report") -> None:
    from app.bootstrap.chain import bootstrap

    bootstrap(with_documents(config), run, report)


def check_report(config: "RunConfig") -> None:
    from app.bootstrap.status import require_run
    from app.checks import check_run_dir

    require_run("run_dir", config.run_dir)
    check_run_dir(config)


def write_reports(config: "RunConfig", run: "Run", report: "Report") -> None:
    from app.report.page import write_report

    for each_config, each_run in reversed(_started_rounds(config, run)):
        report(f"open      {write_report(each_config, each_run)}")


def _started_rounds(config: "RunConfig", run: "Run") -> list[tuple["RunConfig", "Run"]]:
    """All rounds of a bootstrap that have started; any other run counts as one round."""
    from app.bootstrap.rounds import rounds_of
    from app.config import Config
    from app.run import CONFIG_FILE

    if not isinstance(config, Config):
        return [(config, run)]
    return [
        (each.config, each.run)
        for each in rounds_of(config, run)
        if each.number == 1 or each.run.folder.exists(CONFIG_FILE)
    ]


def check_plan(config: "RunConfig") -> None:
    from app.training.preflight import check_training_values

    if config.train is not None:
        check_training_values(config)


def describe_plan(config: "RunConfig") -> str:
    from app.planning import tables

    return tables.describe_plan(config)
