import asyncio
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest

from app import submission
from app.faults import UserError
from app.recipe import load_config
from app.submission import check_portable, submit

ROOT = Path(__file__).parent.parent
ADDRESS = "http://head:8265"


class FakeClient:
    """The job client's protocol; `logs` is what each connection to the log gives, an exception breaks it."""

    def __init__(self, logs, status="SUCCEEDED", exit_code=0) -> None:
        self.logs = list(logs)
        self.status = "RUNNING"
        self.final = status
        self.exit_code = exit_code
        self.submitted = {}

    def submit_job(self, **request):
        self.submitted = request
        return "raysubmit_1"

    async def tail_job_logs(self, job_id):
        for text in self.logs.pop(0):
            if isinstance(text, BaseException):
                raise text
            yield text
        if not self.logs:
            self.status = self.final

    def get_job_status(self, job_id):
        return self.status

    def get_job_info(self, job_id):
        return SimpleNamespace(driver_exit_code=self.exit_code)


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(submission, "POLL_SEC", 0.0)


def run(client, recipe="laptop.yaml", overrides=("--run_dir", "/shared/my run"), verb="index"):
    return submit(verb, recipe, overrides, ADDRESS, connect=lambda address: client)


def test_the_cluster_runs_the_same_command(capsys):
    client = FakeClient([["one\n", "two\n"]])
    assert run(client) == 0
    assert shlex.split(client.submitted["entrypoint"]) == [
        *("python", "-m", "ray_jobs.index", "--config", "laptop.yaml", "--run_dir", "/shared/my run")
    ]
    assert client.submitted["runtime_env"]["working_dir"] == str(ROOT)
    assert {".git", ".venv", "runs"} <= set(client.submitted["runtime_env"]["excludes"])
    assert "one\ntwo\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("status", "exit_code", "expected"), [("FAILED", 2, 2), ("FAILED", None, 1), ("STOPPED", None, 1)]
)
def test_the_exit_code_is_the_jobs(status, exit_code, expected):
    assert run(FakeClient([["x"]], status, exit_code)) == expected


def test_a_broken_connection_is_taken_up_where_it_broke(capsys):
    broken = RuntimeError("WebSocket connection closed unexpectedly")
    client = FakeClient([["a\nb", broken], ["a\n", "b\nc\n"]])
    assert run(client) == 0
    log = capsys.readouterr().out.removeprefix(f"submitted raysubmit_1 to {ADDRESS}\n")
    assert log == "a\nb\nc\nraysubmit_1 succeeded\n"


def test_ctrl_c_leaves_the_job_running_and_says_how_to_go_on(capsys):
    client = FakeClient([["a", KeyboardInterrupt()]])
    assert run(client) == 130
    told = capsys.readouterr().err
    assert f"ray job logs raysubmit_1 --follow --address {ADDRESS}" in told
    assert f"ray job stop raysubmit_1 --address {ADDRESS}" in told


def test_a_recipe_under_the_folder_goes_along_by_its_relative_name(tmp_path, monkeypatch):
    (tmp_path / "ray_jobs").mkdir()
    (tmp_path / "ray_jobs" / "index.py").touch()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "r.yaml").write_text((ROOT / "ray_jobs/recipes/laptop.yaml").read_text("utf-8"))
    monkeypatch.chdir(tmp_path)
    client = FakeClient([[]])
    assert run(client, recipe=str(tmp_path / "mine" / "r.yaml")) == 0
    assert "--config mine/r.yaml" in client.submitted["entrypoint"]


def test_a_recipe_elsewhere_is_refused(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text((ROOT / "ray_jobs/recipes/laptop.yaml").read_text("utf-8"))
    with pytest.raises(UserError, match=r"--config .*r\.yaml: is not in .*; put it there"):
        run(FakeClient([]), recipe=str(path))


def test_a_folder_that_is_not_longstraps_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        UserError, match=r"--address: uploads the current folder, but .* has no ray_jobs/index\.py"
    ):
        run(FakeClient([]))


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        ([], "run_dir: 'runs/laptop' is relative"),
        (["--run_dir", "/x", "--corpus.sources.0.path", "docs"], "corpus.sources.0.path: 'docs' is relative"),
        (["--run_dir", "/x", "--generator.model", "./m"], "generator.model: './m' is relative"),
        (["--run_dir", "/x", "--corpus.decontamination.paths", "[a]"], "corpus.decontamination.paths.0: 'a'"),
        (["--run_dir", "/x", "--serve.models.base.model", "./m"], "serve.models.base.model: './m' is relative"),
    ],
)  # fmt: skip
def test_paths_of_this_machine_are_refused(overrides, field):
    with pytest.raises(UserError) as caught:
        check_portable(load_config("laptop", overrides))
    assert str(caught.value).startswith(field)


def test_a_run_dir_that_would_be_thrown_away_is_never_submitted():
    client = FakeClient([])
    with pytest.raises(UserError, match=r"^run_dir: 'runs/laptop' is relative"):
        run(client, overrides=())
    assert client.submitted == {}


def test_paths_that_every_node_sees_pass():
    check_portable(load_config("laptop", ["--run_dir", "/shared/x"]))
    check_portable(load_config("llama3_8b_1m"))


def test_bad_settings_are_never_submitted():
    client = FakeClient([])
    with pytest.raises(
        UserError, match=r"^agent\.task_weights: names sing, which is not a task; known: compare"
    ):
        run(client, overrides=("--run_dir", "/x", "--agent.task_weights", "{sing: 1}"))
    assert client.submitted == {}


def test_an_environment_that_would_redirect_the_client_is_named(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "http://other:8265")
    with pytest.raises(
        UserError, match="RAY_ADDRESS is set to 'http://other:8265' and would take precedence; unset it"
    ):
        submit("index", "laptop", ["--run_dir", "/x"], ADDRESS)


def test_a_dashboard_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(UserError, match=r"--address http://127\.0\.0\.1:9: no Ray dashboard answers there"):
        submit("index", "laptop", ["--run_dir", "/x"], "http://127.0.0.1:9")


def test_a_connection_that_is_closed_while_the_job_runs_is_taken_up(capsys):
    client = FakeClient([["a\n"], ["a\n", "b\n"], ["a\nb\n", "c\n"]])
    assert run(client) == 0
    assert "\na\nb\nc\nraysubmit_1 succeeded\n" in capsys.readouterr().out


def test_reconnects_are_counted_from_the_last_new_text(capsys):
    letters = [f"{number}\n" for number in range(submission.MAX_RECONNECTS + 3)]
    client = FakeClient([[*letters[: end + 1], OSError("gone")] for end in range(len(letters))] + [letters])
    assert run(client) == 0
    assert "".join(letters) in capsys.readouterr().out


def test_a_status_that_is_not_told_is_asked_for_again():
    from aiohttp import ServerDisconnectedError

    told = iter([OSError("gone"), RuntimeError("502"), ServerDisconnectedError(), "RUNNING", "SUCCEEDED"])

    def get_job_status(job_id):
        status = next(told)
        if isinstance(status, BaseException):
            raise status
        return status

    client = FakeClient([[OSError("gone")]] * submission.MAX_RECONNECTS)
    client.get_job_status = get_job_status
    assert asyncio.run(submission._follow(client, "raysubmit_1")) == 0


def test_a_log_that_stays_away_does_not_end_the_wait_for_the_job():
    states = iter(["RUNNING"] * (submission.MAX_RECONNECTS + 1) + ["SUCCEEDED"])
    client = FakeClient([[OSError("gone")]] * submission.MAX_RECONNECTS)
    client.get_job_status = lambda job_id: next(states)
    assert asyncio.run(submission._follow(client, "raysubmit_1")) == 0


@pytest.mark.parametrize("address", ["head:8265", "127.0.0.1:6399", "auto", "ray://head:10001"])
def test_what_is_no_dashboard_is_refused_at_once(address):
    with pytest.raises(UserError, match=r"^--address .*: is not a dashboard's; give http://HEAD:8265$"):
        submit(
            "index",
            "laptop.yaml",
            ["--run_dir", "/shared/r"],
            address,
            connect=lambda _: pytest.fail("was asked"),
        )


def checkout(tmp_path, monkeypatch, **num_bytes) -> FakeClient:
    """The least that can be submitted, with files of these sizes."""
    (tmp_path / "ray_jobs").mkdir()
    (tmp_path / "ray_jobs" / "index.py").touch()
    for name, size in num_bytes.items():
        path = tmp_path / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(exist_ok=True)
        with path.open("wb") as file:
            file.truncate(size)
    monkeypatch.chdir(tmp_path)
    return FakeClient([["x"]])


def test_a_folder_that_is_too_large_is_told_with_its_largest_files(tmp_path, monkeypatch):
    client = checkout(tmp_path, monkeypatch, notes_bin=90 * 2**20, data__more_bin=12 * 2**20)
    with pytest.raises(UserError) as raised:
        run(client)
    assert str(raised.value).startswith(
        f"--address: uploads {tmp_path}, whose 3 files have 102.0 MiB where Ray takes at"
    )
    assert "name them in .gitignore: notes.bin (90.0 MiB), data/more.bin (12.0 MiB), " in str(raised.value)
    assert client.submitted == {}
    (tmp_path / ".gitignore").write_text("*.bin\n")
    assert run(client) == 0


def test_what_is_left_out_of_the_upload_may_be_large(tmp_path, monkeypatch):
    assert run(checkout(tmp_path, monkeypatch, runs__x_bin=200 * 2**20, x_bin=5 * 2**20)) == 0
