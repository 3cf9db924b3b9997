"""`longstrap VERB --config RECIPE [--section.field VALUE ...]`: runs a job here, or submits it."""

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata

from app.faults import UserError, user_error_in
from app.jobs import JOBS
from app.secrets import mask

USER_ERROR = 2
INTERRUPTED, TERMINATED = 130, 143
OTHER_HELP = {
    "config": """\
Print the resolved settings of a recipe and its overrides as YAML.

  longstrap config --config RECIPE [--section.field VALUE ...]

Examples:
  longstrap config --config laptop.yaml
  longstrap config --config laptop.yaml --seed 2 > my.yaml""",
    "status": """\
Show where a run stands: what is complete, what is running, what was stopped and
why. It reads nothing but the run's folder, from any machine that sees it.

  longstrap status RUN_DIR

Examples:
  longstrap status runs/laptop
  longstrap status s3://BUCKET/runs/llama3-1m""",
}
"""Help of the verbs that are not jobs."""


@dataclass(frozen=True)
class Command:
    """A parsed command line."""

    verb: str
    recipe: str | None
    """None: the overrides are all settings."""
    overrides: tuple[str, ...] = ()
    address: str | None = None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0, 2 for a user's error, 130 for Ctrl-C, 143 for SIGTERM."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    with _terminable() as was_terminated:
        try:
            code = _main(arguments)
        except KeyboardInterrupt:
            word = "terminated" if was_terminated.is_set() else "interrupted"
            _complain(f"{word}; the same command resumes from here")
            code = INTERRUPTED
        return TERMINATED if code == INTERRUPTED and was_terminated.is_set() else code


def _main(arguments: list[str]) -> int:
    try:
        if text := _asked_for(arguments):
            _show(text)
            return 0
        if arguments[0] == "status":
            _show(_status(arguments[1:]))
            return 0
        return _run(parse_command(arguments))
    except Exception as error:
        fault = user_error_in(error)
        if fault is None:
            raise
        _complain(mask(str(fault)))
        return USER_ERROR


@contextlib.contextmanager
def _terminable() -> Iterator[threading.Event]:
    """SIGTERM ends the block as Ctrl-C does; the event tells them apart."""
    was_terminated = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield was_terminated
        return

    def stop(*_: object) -> None:
        was_terminated.set()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield was_terminated
    finally:
        signal.signal(signal.SIGTERM, before)


def _complain(line: str) -> None:
    """A line on stderr; nobody may be there to read it."""
    with contextlib.suppress(OSError):
        print(f"longstrap: {line}", file=sys.stderr, flush=True)


def parse_command(arguments: Sequence[str]) -> Command:
    """Split the arguments into the verb, our own two options and the overrides.

    Raises:
        UserError: The verb is unknown, an option has no value, or there is no recipe.
    """
    verb, *rest = arguments
    if verb not in (*JOBS, "config"):
        raise UserError(f"{verb}: no such verb; give one of {', '.join(JOBS)}, status, config")
    options = JOBS[verb].options if verb in JOBS else {}
    own: dict[str, str] = {}
    overrides: list[str] = []
    takes_run_dir = verb in JOBS and JOBS[verb].takes_run_dir
    run_dir = rest.pop(0) if takes_run_dir and rest and not rest[0].startswith("-") else None
    while rest:
        option = rest.pop(0)
        name, equals, value = option.partition("=")
        if not option.startswith("--"):
            raise UserError(f"{option}: not an option; settings are given as --section.field VALUE")
        short = options.get(name)
        if not equals and (short is None or "{value}" in short):
            if not rest:
                raise UserError(f"{option}: has no value; give {option} VALUE")
            value = rest.pop(0)
        if name in ("--config", "--address"):
            own[name] = value
        elif short is not None:
            setting, _, value = short.replace("{value}", value).partition("=")
            overrides += [f"--{setting}", value]
        else:
            overrides += [name, value]
    if run_dir is not None:
        if given := next(iter(own), None):
            raise UserError(f"{given}: is given beside the folder {run_dir}; give one of them")
        # As YAML, in which a bare name may be a number.
        return Command(verb, None, ("--run_dir", json.dumps(run_dir), *overrides))
    if "--config" not in own:
        if takes_run_dir:
            raise UserError(
                f"{verb}: takes the folder of a run or --config RECIPE; for example longstrap {verb} runs/laptop"
            )
        raise UserError(f"--config: is missing; for example longstrap {verb} --config laptop.yaml")
    if verb == "config" and "--address" in own:
        raise UserError("--address: is given for config, which runs nothing; leave it out")
    return Command(verb, own["--config"], tuple(overrides), own.get("--address"))


def _run(command: Command) -> int:
    from app.recipe import config_of, load_config

    given = command.overrides
    config = config_of(given) if command.recipe is None else load_config(command.recipe, given)
    if command.verb == "config":
        import yaml

        _show(yaml.safe_dump(config.model_dump(), sort_keys=False, allow_unicode=True).rstrip("\n"))
        return 0
    if command.address and command.recipe is not None:
        from app.submission import submit

        return submit(command.verb, command.recipe, command.overrides, command.address)

    from app.jobs import run_job

    run_job(command.verb, config)
    return 0


def _show(text: str) -> None:
    """Print the text, or as much as the reader takes: `head` quits when it has enough."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        _drop_output()
    except OSError as error:
        _drop_output()
        raise UserError(f"output: can't be written ({error.strerror}); give it a place with room") from error


def _drop_output() -> None:
    # Python flushes once more at its end, into the same file otherwise.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _asked_for(arguments: list[str]) -> str | None:
    """Help or version text, if the arguments ask for it instead of a job."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        return _help()
    if arguments[0] == "--version":
        return f"longstrap {metadata.version('longstrap')}"
    if {"-h", "--help"} & set(arguments) and arguments[0] in (*JOBS, *OTHER_HELP):
        return _verb_help(arguments[0])
    return None


def _status(arguments: list[str]) -> str:
    """Where a run stands."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        raise UserError("status: takes the folder of a run and nothing else; for example status runs/laptop")
    from app.bootstrap.status import describe_status

    return describe_status(arguments[0], time.time())


def _help() -> str:
    verbs = "\n".join(f"  {verb:<12} {job.summary}" for verb, job in JOBS.items())
    return f"""\
Turn a short-context instruct model into a long-context one.
  longstrap VERB --config RECIPE [--section.field VALUE ...] [--address URL]
Verbs:
{verbs}
  status       show where a run stands: longstrap status RUN_DIR
  config       print the resolved settings
Options:
  --config RECIPE         a YAML file, or a bundled recipe such as laptop.yaml
  --section.field VALUE   override any setting of the recipe
  --address URL           submit to the Ray cluster with this dashboard URL
Examples:
  longstrap bootstrap --config laptop.yaml
The same command resumes after a stop. `longstrap VERB --help` says more."""


def _verb_help(verb: str) -> str:
    if verb in OTHER_HELP:
        return OTHER_HELP[verb]
    job = JOBS[verb]
    shorts = "".join(
        f"\n  {option:<8} short for --{setting.replace('=', ' ').replace('{value}', 'VALUE')}"
        for option, setting in job.options.items()
    )
    return f"""\
{verb}: {job.summary}.

  longstrap {verb} --config RECIPE [--section.field VALUE ...]
            [--address URL]{_with_run_dir(verb)}{shorts}

Examples:
  longstrap {verb} --config laptop.yaml
  longstrap {verb} --config laptop.yaml {job.example}
  longstrap {verb} --config my.yaml --address http://HEAD:8265
  ray job submit --address http://HEAD:8265 --working-dir . -- \\
    python -m ray_jobs.{verb} --config my.yaml

Values are YAML: numbers, words, null, [1, 2], {{key: value}}. List items are
counted from 0. `longstrap config --config RECIPE` prints all settings.
Results go to the recipe's run_dir. After a stop, the same command resumes. With
other settings, it stops and names the setting that differs."""


def _with_run_dir(verb: str) -> str:
    """The form of a verb that names a run's folder, on a line of its own."""
    return f"\n  longstrap {verb} RUN_DIR [--section.field VALUE ...]" if JOBS[verb].takes_run_dir else ""


if __name__ == "__main__":
    sys.exit(main())
