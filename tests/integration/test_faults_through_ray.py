"""Whose fault an error of a worker is, through a real Ray, up to what the command line prints."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import ray
import ray.data

from app import jobs
from app.cli import main
from app.cluster.faults import Kept, sent_to_driver, users_faults
from app.cluster.tasks import fetch, quiet_context, run_tasks
from app.faults import UserError
from tests.bugs import BUGS


@pytest.fixture(scope="module", autouse=True)
def local_ray() -> Iterator[None]:
    # Ray's socket paths must stay short, which pytest's own folders are not.
    folder = tempfile.mkdtemp(prefix="lf")
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        _temp_dir=folder,
        object_store_memory=100_000_000,
        log_to_driver=False,
    )
    yield
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


def raise_users_fault() -> None:
    raise UserError("field: bad; remedy")


class Worker:
    """An actor for Ray Data whose constructor or calls fail."""

    def __init__(self, in_constructor: Callable[[], Any], in_call: Callable[[], Any]) -> None:
        self._made = Kept(lambda: in_constructor() or True)
        self._in_call = in_call

    @sent_to_driver()
    def __call__(self, batch: Any) -> Any:
        self._made.get()
        return self._in_call()


def nothing() -> None:
    pass


def hand_on(result: Any) -> Any:
    return result


def call(function: Callable[[], Any], item: int) -> Any:
    return function()


def in_core_task(function: Callable[[], Any]) -> None:
    fetch(ray.remote(num_cpus=0)(function).remote())


def in_core_task_unwrapped(function: Callable[[], Any]) -> None:
    ray.get(ray.remote(num_cpus=0)(function).remote())


def in_task_that_waits_for_another(function: Callable[[], Any]) -> None:
    first = ray.remote(num_cpus=0)(function).remote()
    fetch(ray.remote(num_cpus=0)(hand_on).remote(first))


def in_data_task(function: Callable[[], Any]) -> None:
    list(run_tasks([1], partial(call, function), "test", print, 60.0))


def in_data_actor(*functions: Callable[[], Any]) -> None:
    with ray.data.DataContext.current(quiet_context()), users_faults():
        ray.data.from_items([{"id": 1}]).map_batches(
            Worker, fn_constructor_args=functions, compute=ray.data.ActorPoolStrategy(size=1)
        ).take_all()


def in_call_of_data_actor(function: Callable[[], Any]) -> None:
    in_data_actor(nothing, function)


def in_constructor_of_data_actor(function: Callable[[], Any]) -> None:
    in_data_actor(function, nothing)


def run(monkeypatch: pytest.MonkeyPatch, place: Callable[[Any], None], function: Callable[[], Any]) -> int:
    monkeypatch.setattr(jobs, "run_job", lambda verb, config: place(function))
    return main(["index", "--config", "laptop"])


@pytest.mark.parametrize("break_down", BUGS)
@pytest.mark.parametrize("place", [in_core_task, in_data_task])
def test_our_own_bug_in_a_task_is_never_the_users(monkeypatch, capsys, place, break_down):
    with pytest.raises(ray.exceptions.RayError, match=break_down.__name__) as raised:
        run(monkeypatch, place, break_down)
    assert "ValueError" in str(raised.value)
    assert "longstrap:" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "place",
    [
        in_core_task,
        in_core_task_unwrapped,
        in_task_that_waits_for_another,
        in_data_task,
        in_call_of_data_actor,
        in_constructor_of_data_actor,
    ],
)
def test_a_users_fault_is_one_line_from_wherever_it_comes(monkeypatch, capfd, place):
    assert run(monkeypatch, place, raise_users_fault) == 2
    printed = capfd.readouterr().err
    assert "longstrap: field: bad; remedy\n" in printed
    assert "Traceback" not in printed
