"""The jobs: what each verb checks and does. A new job is an entry in `JOBS` and a file in `ray_jobs/`."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.faults import UserError

if TYPE_CHECKING:
    from app.config import Config, RunConfig
    from app.progress.attempts import Report
    from app.run import Run


@dataclass(frozen=True)
class Job:
    """One verb of the command line."""

    summary: str
    """What the verb does, in a line of the help."""
    check: Callable[["RunConfig"], None]
    """Raises a UserError for settings that cannot work, before Ray is there."""
    work: Callable[["RunConfig", "Run", "Report"], None]
    """Does the job. Ray is connected if the job needs it."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Short options for common settings: option → `section.field={value}`, or a fixed value for a flag."""
    example: str = "--run_dir runs/mine"
    """Example arguments for the help."""
    preview: Callable[["RunConfig"], str | None] = lambda config: None
    """Text to print instead of doing the job, if the settings ask for that."""
    needs_ray: Callable[["RunConfig"], bool] = lambda config: True
    writes: tuple[str, ...] = ()
    """Parts of a run's folder that no other command may write at the same time."""
    is_one_step: bool = True
    """Whether attempts are recorded under the verb. Other jobs record steps of their own, or none."""


def run_job(verb: str, config: "RunConfig") -> None:
    """Check the settings against the files, connect to Ray and do the job.

    Raises:
        UserError: The settings cannot work.
    """
    from app.checks import check_run_dir_name

    job = JOBS[verb]
    check_run_dir_name(config.run_dir)
    job.check(config)
    if (text := job.preview(config)) is not None:
        _print_line(text)
        return

    # Slow imports wait until the settings have passed.
    from app.progress.holders import held
    from app.run import CONFIG_FILE, Run

    run = Run(config.run_dir)
    with (
        held(run.folder, verb, job.writes, _print_line),
        _connected(config) if job.needs_ray(config) else nullcontext(),
    ):
        # Write the settings only if there are none yet: they may still be refused, and a refused start changes nothing.
        if not run.folder.exists(CONFIG_FILE):
            run.write_config(config)
        with _recorded(verb, config, run) as report:
            job.work(config, run, report)
        run.write_config(config)


def _recorded(verb: str, config: "RunConfig", run: "Run") -> "AbstractContextManager[Report]":
    from app.progress.attempts import attempt

    if not JOBS[verb].is_one_step:
        return nullcontext(_print_line)
    return attempt(run.folder, verb, config.progress.log_interval_sec, _print_line)


def _connected(config: "RunConfig") -> AbstractContextManager[None]:
    from app.cluster.connection import connect

    return connect(config.ray)


def _print_line(text: str) -> None:
    print(text, flush=True)


def _with_documents(config: "RunConfig") -> "Config":
    """The settings as a `Config`, which says where the documents come from."""
    from app.config import Config

    if not isinstance(config, Config):
        raise UserError(
            "corpus: is missing, and there are no documents without it; set corpus.sources in the recipe"
        )
    return config


def _check_index(config: "RunConfig") -> None:
    from app.retrieval.preflight import check_index

    check_index(_with_documents(config))


def _check_synthesis(config: "RunConfig") -> None:
    from app.dataset.preflight import check_synthesis

    check_synthesis(_with_documents(config))


def _index(settings: "RunConfig", run: "Run", report: "Report") -> None:
    from app.corpus.pipeline import build_corpus
    from app.retrieval.pipeline import build_index

    config = _with_documents(settings)
    build_corpus(config, run, report)
    build_index(config, run, report)


def _synthesize(settings: "RunConfig", run: "Run", report: "Report") -> None:
    from app.corpus.pipeline import build_corpus
    from app.dataset.pipeline import synthesize
    from app.dataset.preflight import check_targets_fit, fillable_tokens
    from app.retrieval.pipeline import build_index

    config = _with_documents(settings)
    build_corpus(config, run, report)
    check_targets_fit(config, fillable_tokens(config, run.corpus.folder))
    build_index(config, run, report)
    synthesize(config, run, report)


def _check_training(config: "RunConfig") -> None:
    from app.training.preflight import check_training

    check_training(config)


def _train(config: "RunConfig", run: "Run", report: "Report") -> None:
    from app.training.stages import train

    train(config, run, report)


def _check_probe(config: "RunConfig") -> None:
    from app.probing.job import check_probe

    check_probe(config)


def _probe(config: "RunConfig", run: "Run", report: "Report") -> None:
    from app.probing.job import probe

    probe(config, run, report)


def _check_serving(config: "RunConfig") -> None:
    from app.serving.preflight import check_serving

    check_serving(config)


def _serving_plan(config: "RunConfig") -> str | None:
    from app.serving.plan import describe_plan

    assert config.serve is not None
    return describe_plan(config) if config.serve.plan else None


def _serve(config: "RunConfig", run: "Run", report: "Report") -> None:
    from app.serving.server import serve

    serve(config, report)


def _check_evaluation(config: "RunConfig") -> None:
    from eval.preflight import check_evaluation

    check_evaluation(config)


def _evaluate(config: "RunConfig", run: "Run", report: "Report") -> None:
    from app.endpoints.keys import read_api_key
    from eval.evaluation import Evaluation
    from eval.suite import Endpoint

    assert config.evaluate is not None
    if config.evaluate.url is not None:
        key = read_api_key("evaluate.api_key_env", config.evaluate.api_key_env)
        endpoint = Endpoint(config.evaluate.url, key)
        Evaluation(config, run, endpoint, report).run()
        return

    from app.serving.access import read_key
    from app.serving.server import serving

    assert config.serve is not None
    with serving(config, report) as url:
        Evaluation(config, run, Endpoint(url, read_key(config.serve)), report).run()


def _shown_sample(config: "RunConfig") -> str | None:
    assert config.evaluate is not None
    if config.evaluate.show is None:
        return None
    from app.run import Run
    from eval.reading import show_sample

    return show_sample(config, Run(config.run_dir), config.evaluate.show)


def _check_bootstrap(config: "RunConfig") -> None:
    from app.bootstrap.preflight import check_bootstrap

    check_bootstrap(_with_documents(config))


def _bootstrap(config: "RunConfig", run: "Run", report: "Report") -> None:
    from app.bootstrap.chain import bootstrap

    bootstrap(_with_documents(config), run, report)


def _check_report(config: "RunConfig") -> None:
    from app.bootstrap.status import require_run
    from app.checks import check_run_dir

    require_run("run_dir", config.run_dir)
    check_run_dir(config)


def _report(config: "RunConfig", run: "Run", report: "Report") -> None:
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


def _check_plan(config: "RunConfig") -> None:
    from app.training.preflight import check_training_values

    if config.train is not None:
        check_training_values(config)


def _plan(config: "RunConfig") -> str:
    from app.planning.tables import describe_plan

    return describe_plan(config)


def _is_only_shown(config: "RunConfig", run: "Run", report: "Report") -> None:
    raise AssertionError("a plan is only shown")


def _serves_its_models(config: "RunConfig") -> bool:
    return config.evaluate is None or config.evaluate.url is None


JOBS = {
    "bootstrap": Job(
        "run the whole loop: dataset, stages, gates, evaluation, report",
        _check_bootstrap,
        _bootstrap,
        example="--bootstrap.gate.min_niah_percent 80",
        writes=("documents", "dataset", "train", "eval"),
        is_one_step=False,
    ),
    "index": Job(
        "turn documents into passages and a vector index",
        _check_index,
        _index,
        example="--corpus.sources.0.path 'docs/**/*.md'",
        writes=("documents",),
    ),
    "synthesize": Job(
        "generate the dataset; build the index if there is none",
        _check_synthesis,
        _synthesize,
        example="--dataset.num_long_input_seeds 100",
        writes=("documents", "dataset"),
    ),
    "train": Job(
        "run the stages, from the dataset to an exported model", _check_training, _train, writes=("train",)
    ),
    "probe": Job(
        "find where a context ends, and what RoPE extends it",
        _check_probe,
        _probe,
        example="--lengths 8192,16384",
        writes=("probe",),
        options={"--lengths": "probe.lengths_tokens=[{value}]"},
    ),
    "serve": Job(
        "serve models at an OpenAI-compatible URL until stopped",
        _check_serving,
        _serve,
        example="--plan",
        options={"--plan": "serve.plan=true", "--port": "serve.port={value}"},
        preview=_serving_plan,
    ),
    "evaluate": Job(
        "run NIAH, RULER and short tasks on a URL or the run's models",
        _check_evaluation,
        _evaluate,
        example="--suite niah",
        writes=("eval",),
        options={
            "--url": "evaluate.url={value}",
            "--suite": "evaluate.suites=[{value}]",
            "--show": "evaluate.show={value}",
            "--limit": "evaluate.mine.limit={value}",
        },
        preview=_shown_sample,
        needs_ray=_serves_its_models,
    ),
    "report": Job(
        "write report.html from what the run holds",
        _check_report,
        _report,
        needs_ray=lambda config: False,
        is_one_step=False,
    ),
    "plan": Job(
        "estimate calls, memory, time, storage and money",
        _check_plan,
        _is_only_shown,
        options={"--json": "plan.json_path={value}"},
        example="--json plan.json",
        preview=_plan,
        needs_ray=lambda config: False,
        is_one_step=False,
    ),
}
