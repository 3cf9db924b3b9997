import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from app import cli, jobs
from app.cli import main, parse_command
from app.faults import UserError
from tests.bugs import BUGS

TERMINAL_LINES, TERMINAL_COLUMNS = 24, 80


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["index", "--help"],
        ["synthesize", "-h"],
        ["preview", "-h"],
        ["probe", "-h"],
        ["serve", "-h"],
        ["evaluate", "-h"],
        ["plan", "-h"],
        ["bootstrap", "-h"],
        ["report", "-h"],
        ["view", "-h"],
        ["status", "-h"],
        ["config", "--help"],
    ],
)
def test_help_fits_one_screen_and_shows_examples(arguments, capsys):
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    # The last line is the prompt's.
    assert len(lines) < TERMINAL_LINES
    assert max(map(len, lines)) <= TERMINAL_COLUMNS
    assert any("Examples" in line for line in lines)


def test_help_names_every_verb(capsys):
    main([])
    text = capsys.readouterr().out
    assert all(f"\n  {verb} " in text for verb in [*jobs.JOBS, "config"])


def test_help_starts_without_heavy_imports():
    program = (
        "import sys; from app.cli import main; main(['--help']);"
        "print([name for name in ('ray', 'torch', 'pyarrow', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_reader_that_has_enough_is_no_fault():
    reading, writing = os.pipe()
    os.close(reading)
    program = "import sys; from app.cli import main; sys.exit(main(['--help']))"
    with os.fdopen(writing) as pipe:
        done = subprocess.run([sys.executable, "-c", program], stdout=pipe, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_output_that_cannot_be_written_is_one_line():
    program = "import sys; from app.cli import main; sys.exit(main(['--help']))"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", program], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr == (
        "longstrap: output: can't be written (No space left on device); give it a place with room\n"
    )


def test_config_prints_yaml_that_is_a_recipe_itself(tmp_path, capsys):
    assert main(["config", "--config", "laptop.yaml", "--seed", "7"]) == 0
    printed = capsys.readouterr().out
    assert yaml.safe_load(printed)["seed"] == 7
    again = tmp_path / "again.yaml"
    again.write_text(printed)
    assert main(["config", "--config", str(again)]) == 0
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["teach", "--config", "laptop"],
            "teach: no such verb; give one of bootstrap, index, synthesize, preview, train, probe, serve, evaluate, "
            "report, view, plan, status, config",
        ),
        (["index"], "--config: is missing; for example longstrap index --config laptop.yaml"),
        (["index", "--config"], "--config: has no value; give --config VALUE"),
        (
            ["index", "stray", "--config", "laptop"],
            "stray: not an option; settings are given as --section.field VALUE",
        ),
        (
            ["config", "--config", "nowhere.yaml"],
            "--config nowhere.yaml: no such file; give a YAML file or one of",
        ),
        (
            ["config", "--config", "laptop", "--sede", "1"],
            "sede: 1 is given for a setting that does not exist; did",
        ),
        (["config", "--config", "laptop", "--address", "http://h:8265"], "--address: is given for config"),
        (
            ["view"],
            "view: takes the folder of a run or --config RECIPE; for example longstrap view runs/laptop",
        ),
        (["view", "a", "--config", "laptop"], "--config: is given beside the folder a; give one of them"),
        (["view", "a", "--address", "http://h:8265"], "--address: is given beside the folder a; give one"),
        (["view", "a", "b"], "b: not an option; settings are given as --section.field VALUE"),
    ],
)
def test_a_users_error_is_one_line_and_exit_code_2(arguments, expected, capsys):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"longstrap: {expected}")
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_options_and_overrides_stand_in_any_order_and_form():
    command = parse_command(
        ["index", "--seed=3", "--config", "r.yaml", "--a.b", "-1", "--address=http://h:8265"]
    )
    assert (command.verb, command.recipe, command.address) == ("index", "r.yaml", "http://h:8265")
    assert command.overrides == ("--seed", "3", "--a.b", "-1")


@pytest.mark.parametrize("run_dir", ["runs/mine", "2024", "s3://bucket/run: 2", 'a "b"'])
def test_the_folder_of_a_run_stands_for_a_recipe(monkeypatch, run_dir):
    run_job = FakeJobs()
    monkeypatch.setattr(jobs, "run_job", run_job)
    assert main(["view", run_dir, "--num", "5"]) == 0
    assert run_job.started == [f"view {run_dir}"]


class FakeJobs:
    """Stands in for the job table's one function."""

    def __init__(self, fault: BaseException | None = None) -> None:
        self.fault = fault
        self.started: list[str] = []

    def __call__(self, verb, config):
        self.started.append(f"{verb} {config.run_dir}")
        if self.fault:
            raise self.fault


def test_a_verb_runs_its_job_with_the_resolved_settings(monkeypatch):
    run_job = FakeJobs()
    monkeypatch.setattr(jobs, "run_job", run_job)
    assert main(["index", "--config", "laptop", "--run_dir", "runs/other"]) == 0
    assert run_job.started == ["index runs/other"]


def test_ctrl_c_ends_quietly(monkeypatch, capsys):
    monkeypatch.setattr(jobs, "run_job", FakeJobs(KeyboardInterrupt()))
    assert main(["index", "--config", "laptop"]) == 130
    assert capsys.readouterr().err.count("\n") == 1


def test_sigterm_ends_any_verb_in_a_line(monkeypatch, capsys):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(jobs, "run_job", lambda verb, config: signal.raise_signal(signal.SIGTERM))
    assert main(["index", "--config", "laptop"]) == 143
    assert capsys.readouterr().err == "longstrap: terminated; the same command resumes from here\n"
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("break_down", BUGS)
def test_our_own_bug_keeps_its_traceback(monkeypatch, break_down):
    monkeypatch.setattr(jobs, "run_job", lambda verb, config: break_down())
    with pytest.raises(ValueError) as raised:
        main(["index", "--config", "laptop"])
    assert raised.traceback[-1].name == break_down.__name__


def test_a_users_error_in_a_job_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(jobs, "run_job", FakeJobs(UserError("field: bad; remedy")))
    assert main(["index", "--config", "laptop"]) == 2
    assert capsys.readouterr().err == "longstrap: field: bad; remedy\n"


def test_the_module_runs_as_a_program():
    done = subprocess.run([sys.executable, "-m", "app.cli", "teach"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("longstrap: teach: no such verb")


def test_a_refused_start_leaves_the_recorded_settings(monkeypatch, tmp_path):
    from app.cluster import connection

    def start(seed, work):
        monkeypatch.setitem(jobs.JOBS, "index", jobs.Job("", lambda config: None, work))
        main(["index", "--config", "laptop", "--run_dir", str(tmp_path), "--seed", str(seed)])
        return json.loads((tmp_path / "config.json").read_text())["config"]["seed"]

    def refuse(config, run, report):
        assert (tmp_path / "config.json").is_file()
        cli.parse_command(["nonsense"])

    monkeypatch.setattr(connection, "connect", lambda settings: contextlib.nullcontext())
    assert start(1, refuse) == 1
    assert start(2, refuse) == 1
    assert start(3, lambda config, run, report: None) == 3


def test_a_failed_check_starts_nothing(monkeypatch, tmp_path):
    def check(config):
        raise UserError("field: value; remedy")

    monkeypatch.setitem(jobs.JOBS, "index", jobs.Job("", check, lambda *_: pytest.fail("was started")))
    run_dir = tmp_path / "run"
    assert main(["index", "--config", "laptop", "--run_dir", str(run_dir)]) == 2
    assert not run_dir.exists()


def test_two_commands_that_write_the_same_are_not_in_a_folder_together(monkeypatch, tmp_path, capsys):
    from app.cluster import connection

    def start(verb, work):
        job = dataclasses.replace(jobs.JOBS[verb], check=lambda config: None, work=work)
        monkeypatch.setitem(jobs.JOBS, verb, job)
        return main([verb, "--config", "laptop", "--run_dir", str(tmp_path / "run")])

    def start_more(config, run, report):
        assert start("synthesize", lambda *_: pytest.fail("was started")) == 2
        assert "is being written by `index` on" in capsys.readouterr().err
        assert start("train", lambda *_: None) == 0
        assert start("report", lambda *_: None) == 0

    monkeypatch.setattr(connection, "connect", lambda settings: contextlib.nullcontext())
    assert start("index", start_more) == 0
    assert start("synthesize", lambda *_: None) == 0


def test_every_job_can_be_run_as_a_module():
    for verb in jobs.JOBS:
        source = Path("ray_jobs", f"{verb}.py").read_text("utf-8")
        assert f'main(["{verb}", *sys.argv[1:]])' in source
        assert len(source.splitlines()) <= 16
