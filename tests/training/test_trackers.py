import importlib.machinery
import struct
import sys
import types
from pathlib import Path

import pytest

from app.faults import UserError
from app.storage import Folder
from app.training import trackers
from app.training.trackers import TensorBoardTracker, check_trackers, open_trackers
from tests.training.test_metrics import Clock, metrics


@pytest.fixture
def folder(tmp_path):
    return Folder(str(tmp_path / "stage"))


def events_in(path):
    """Step, tag and value of each scalar, and the steps from which earlier ones are hidden."""
    from tensorboardX.proto import event_pb2

    scalars, purges = [], []
    content = path.read_bytes()
    at = 0
    while at < len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        event = event_pb2.Event.FromString(content[at + 12 : at + 12 + length])
        at += 16 + length
        scalars += [(event.step, value.tag, value.simple_value) for value in event.summary.value]
        if event.HasField("session_log"):
            purges.append(event.step)
    return scalars, purges


def test_nothing_is_opened_that_nobody_asked_for(folder):
    assert open_trackers([], folder, "run/256k", {}) == []
    assert not folder.exists()


def test_tensorboard_shows_every_number_of_every_step(folder):
    (tracker,) = open_trackers(["tensorboard"], folder, "run/256k", {})
    tracker.log(metrics(1, loss=3.0))
    tracker.log(metrics(2, loss=2.0, mfu=None))
    tracker.close()
    (path,) = (Path(folder.path) / "tensorboard").iterdir()
    scalars, _ = events_in(path)
    assert [(step, value) for step, tag, value in scalars if tag == "train/loss"] == [(1, 3.0), (2, 2.0)]
    assert {tag for _, tag, _ in scalars} == {f"train/{name}" for name in metrics().scalars()}
    assert [step for step, tag, _ in scalars if tag == "train/mfu"] == [1]


def test_tensorboard_hides_steps_that_are_made_again(folder):
    for first in (1, 3):
        (tracker,) = open_trackers(["tensorboard"], folder, "run/256k", {})
        for step in range(first, first + 5):
            tracker.log(metrics(step))
        tracker.close()
    files = list((Path(folder.path) / "tensorboard").iterdir())
    assert sorted(events_in(path)[1] for path in files) == [[1], [3]]


def test_an_object_store_gets_a_copy_every_minute(folder, monkeypatch):
    monkeypatch.setattr(trackers, "is_remote", lambda uri: True)
    clock = Clock()
    tracker = TensorBoardTracker(folder, clock)
    tracker.log(metrics(1))
    assert folder.list_names() == []
    clock.now += 60
    tracker.log(metrics(2))
    (name,) = folder.list_names()
    before = len(folder.read_bytes(name))
    tracker.log(metrics(3))
    assert len(folder.read_bytes(name)) == before
    spool = tracker._path
    tracker.close()
    assert {step for step, _, _ in events_in(Path(folder.file(name)))[0]} == {1, 2, 3}
    assert not spool.exists()


def test_a_tracker_that_saw_no_step_closes_too(folder, monkeypatch):
    monkeypatch.setattr(trackers, "is_remote", lambda uri: True)
    TensorBoardTracker(folder).close()
    assert not folder.exists()


@pytest.mark.parametrize(("name", "package"), [("tensorboard", "tensorboardX"), ("wandb", "wandb")])
def test_a_missing_package_is_named_with_its_remedy(folder, monkeypatch, name, package):
    monkeypatch.setattr(trackers.importlib.util, "find_spec", lambda name: None)
    expected = rf"^train\.trackers: {name} needs the package {package}, .*`pip install {package}`, or leave {name} out$"
    with pytest.raises(UserError, match=expected):
        check_trackers([name])
    with pytest.raises(UserError, match=expected):
        open_trackers([name], folder, "run/256k", {})
    assert not folder.exists()


class WandbRun:
    def __init__(self, settings):
        self.settings = settings
        self.logged = []
        self.step_metrics = {}
        self.is_finished = False

    def define_metric(self, name, step_metric):
        self.step_metrics[name] = step_metric

    def log(self, values):
        self.logged.append(values)

    def finish(self):
        self.is_finished = True


class Wandb(types.ModuleType):
    """What is used of wandb."""

    class Error(Exception):
        pass

    def __init__(self):
        super().__init__("wandb")
        self.__spec__ = importlib.machinery.ModuleSpec("wandb", None)
        self.runs = []
        self.fault = None

    def init(self, **settings):
        if self.fault:
            raise self.Error(self.fault)
        self.runs.append(WandbRun(settings))
        return self.runs[-1]


@pytest.fixture
def wandb(monkeypatch):
    module = Wandb()
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    return module


def test_wandb_goes_on_in_its_own_run(folder, wandb):
    for first in (1, 3):
        (tracker,) = open_trackers(["wandb"], folder, "laptop/256k", {"dtype": "bfloat16"})
        for step in range(first, first + 3):
            tracker.log(metrics(step))
        tracker.close()
    before, after = wandb.runs
    assert before.settings["name"] == "laptop/256k"
    assert before.settings["config"] == {"dtype": "bfloat16"}
    # Offline runs are left there.
    assert before.settings["dir"] == folder.path
    assert after.settings["resume"] == "allow"
    assert before.settings["id"] == after.settings["id"]
    assert before.is_finished
    # Its own step must grow: ours is a value like others.
    assert after.step_metrics == {"*": "step"}
    assert [values["step"] for values in before.logged + after.logged] == [1, 2, 3, 3, 4, 5]
    assert before.logged[0]["train/loss"] == metrics().loss
    (other,) = open_trackers(["wandb"], folder / "other", "laptop/256k", {})
    other.close()
    assert wandb.runs[2].settings["id"] != before.settings["id"]


def test_wandbs_reason_is_told_in_a_line(folder, wandb):
    wandb.fault = "api_key not configured (no-tty).\ncall wandb.login()"
    with pytest.raises(
        UserError, match=r"^train\.trackers: wandb does not start \(api_key not .*\); export WANDB"
    ):
        open_trackers(["wandb"], folder, "run", {})
