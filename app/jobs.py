"""The jobs: what each verb checks and does. A new job is an entry in `JOBS` and a file in `ray_jobs/`."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.verbs import data, models, runs

if TYPE_CHECKING:
    from app.config import RunConfig
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
    show: Callable[["RunConfig"], str | None] = lambda config: None
    """Text to print instead of doing the job, if the settings ask for that."""
    needs_ray: Callable[["RunConfig"], bool] = lambda config: True
    writes: tuple[str, ...] = ()
    """Parts of a run's folder that no other command may write at the same time."""
    takes_run_dir: bool = False
    """Whether the folder of a run may stand in the place of `--config RECIPE`."""
    renews_config: bool = True
    """Whether the run's recorded settings become those of this job."""
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
    if (text := job.show(config)) is not None:
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
        if job.renews_config:
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


def _is_only_shown(config: "RunConfig", run: "Run", report: "Report") -> None:
    raise AssertionError("the text of `show` is all")


JOBS = {
    "bootstrap": Job(
        "run the whole loop: dataset, stages, gates, evaluation, report",
        runs.check_bootstrap,
        runs.run_loop,
        example="--bootstrap.gate.min_niah_percent 80",
        writes=("documents", "dataset", "train", "eval"),
        is_one_step=False,
    ),
    "index": Job(
        "turn documents into passages and a vector index",
        data.check_index,
        data.make_index,
        example="--corpus.sources.0.path 'docs/**/*.md'",
        writes=("documents",),
    ),
    "synthesize": Job(
        "generate the dataset; build the index if there is none",
        data.check_synthesis,
        data.make_dataset,
        example="--dataset.num_long_input_seeds 100",
        writes=("documents", "dataset"),
    ),
    "preview": Job(
        "make a few examples of the dataset, and a page to read them",
        data.check_preview,
        data.make_preview,
        options={"--num": "preview.num_seeds={value}"},
        example="--num 20",
        writes=("documents", "preview"),
        renews_config=False,
        is_one_step=False,
    ),
    "train": Job(
        "run the stages, from the dataset to an exported model",
        models.check_training,
        models.train_stages,
        writes=("train",),
    ),
    "probe": Job(
        "find where a context ends, and what RoPE extends it",
        models.check_probe,
        models.probe_context,
        example="--lengths 8192,16384",
        writes=("probe",),
        options={"--lengths": "probe.lengths_tokens=[{value}]"},
    ),
    "serve": Job(
        "serve models at an OpenAI-compatible URL until stopped",
        models.check_serving,
        models.serve_models,
        example="--plan",
        options={"--plan": "serve.plan=true", "--port": "serve.port={value}"},
        show=models.describe_serving,
    ),
    "evaluate": Job(
        "run NIAH, RULER and short tasks on a URL or the run's models",
        models.check_evaluation,
        models.evaluate_models,
        example="--suite niah",
        writes=("eval",),
        options={
            "--url": "evaluate.url={value}",
            "--suite": "evaluate.suites=[{value}]",
            "--show": "evaluate.show={value}",
            "--limit": "evaluate.mine.limit={value}",
        },
        show=models.describe_sample,
        needs_ray=models.serves_its_models,
    ),
    "report": Job(
        "write report.html from what the run holds",
        runs.check_report,
        runs.write_reports,
        needs_ray=lambda config: False,
        is_one_step=False,
    ),
    "view": Job(
        "write a page to read a finished dataset",
        data.check_view,
        _is_only_shown,
        options={"--num": "view.num_examples={value}", "--around": "view.around_chars={value}"},
        example="--num 50",
        show=data.show_dataset,
        needs_ray=lambda config: False,
        takes_run_dir=True,
    ),
    "plan": Job(
        "estimate calls, memory, time, storage and money",
        runs.check_plan,
        _is_only_shown,
        options={"--json": "plan.json_path={value}"},
        example="--json plan.json",
        show=runs.describe_plan,
        needs_ray=lambda config: False,
        is_one_step=False,
    ),
}
