"""The server's life on a Serve that is a double: what it refuses to join, how it waits, drains and ends."""

import threading
from types import SimpleNamespace

import pytest

from app.faults import UserError
from app.serving import server
from app.serving.server import Server
from tests.models.known_models import TINY
from tests.serving.served_models import recipe, write_model

COUNTS = {"ended": 3, "failed": 0, "in_flight": 0, "queued": 0}


def state(status: str, message: str = "", **replicas: int) -> SimpleNamespace:
    deployment = SimpleNamespace(replica_states=replicas, message=message)
    return SimpleNamespace(status=status, message="", deployments={"model-0-base": deployment})


class FakeServe:
    """`ray.serve` with one application, whose states come one after the other; the last one stays."""

    RunTarget = SimpleNamespace

    def __init__(self, *states, in_flight=(0,), is_running_before=False):
        self.states = list(states)
        self.in_flight = list(in_flight)
        self.calls = []
        self.applications = {"other": None} if is_running_before else {}

    def status(self):
        applications = dict(self.applications)
        if "longstrap" in applications:
            applications["longstrap"] = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return SimpleNamespace(applications=applications, proxies={})

    def start(self, **options):
        self.calls.append(("start", options["http_options"]))

    def run_many(self, targets, **options):
        self.applications["longstrap"] = None
        return [self]

    def shutdown(self):
        self.calls.append("shutdown")

    def __getattr__(self, method):
        if method not in ("drain", "cut", "counts"):
            raise AttributeError(method)

        def remote():
            if method == "counts":
                left = self.in_flight.pop(0) if len(self.in_flight) > 1 else self.in_flight[0]
                return SimpleNamespace(result=lambda timeout_s: COUNTS | {"in_flight": left})
            self.calls.append(method)
            return SimpleNamespace(result=lambda timeout_s: None)

        return SimpleNamespace(remote=remote)


@pytest.fixture
def started(tmp_path, monkeypatch):
    """A server on a double, and the lines that it reported."""

    def make(serve: FakeServe, **settings) -> tuple[Server, list[str]]:
        monkeypatch.setattr(server, "ray_serve", serve)
        monkeypatch.setattr(server, "POLL_SEC", 0.001)
        monkeypatch.setattr(server, "DRAIN_POLL_SEC", 0.001)
        monkeypatch.setattr(server, "_logs", lambda: "the logs are somewhere")
        lines: list[str] = []
        model = write_model(tmp_path / "tiny", TINY)
        return Server(recipe(tmp_path, {"base": {"model": model}}, **settings), lines.append), lines

    return make


def test_it_waits_until_all_models_answer(started):
    serve = FakeServe(state("DEPLOYING"), state("DEPLOYING", STARTING=1), state("RUNNING", RUNNING=1))
    one, lines = started(serve, port=8123)
    one.start(threading.Event())
    assert one.url == "http://127.0.0.1:8123/v1"
    assert serve.calls == [("start", {"host": "127.0.0.1", "port": 8123})]
    assert lines == ["loading base"]


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:8000/v1"),
        ("::1", "http://[::1]:8000/v1"),
        ("::", "http://[::1]:8000/v1"),
    ],
)
def test_its_url_is_one_that_can_be_asked(started, host, url):
    assert started(FakeServe(), host=host)[0].url == url


def test_a_serve_of_others_is_left_alone(started):
    serve = FakeServe(is_running_before=True)
    one, _ = started(serve)
    with pytest.raises(UserError, match=r"^serve: Ray Serve already runs on this cluster"):
        one.start(threading.Event())
    one.shutdown()
    assert serve.calls == []


@pytest.mark.parametrize(("host", "has_token", "starts"), [
    ("127.0.0.1", False, True),
    ("0.0.0.0", True, True),
    ("0.0.0.0", False, False),
])  # fmt: skip
def test_others_reach_no_ray_without_a_token(started, monkeypatch, host, has_token, starts):
    monkeypatch.setattr(server, "_has_token_authentication", lambda: has_token)
    serve = FakeServe(state("RUNNING"))
    one, _ = started(serve, host=host)
    if starts:
        one.start(threading.Event())
    else:
        with pytest.raises(UserError, match=r"^serve\.host: '0\.0\.0\.0' .*RAY_AUTH_MODE=token"):
            one.start(threading.Event())
        assert serve.calls == []


def test_a_model_that_does_not_load_ends_it_with_the_reason(started):
    one, _ = started(FakeServe(state("DEPLOYING"), state("DEPLOY_FAILED", "no such weights")))
    with pytest.raises(RuntimeError, match="no such weights"):
        one.start(threading.Event())


def test_a_model_that_takes_too_long_ends_it_with_the_limit(started):
    one, _ = started(FakeServe(state("DEPLOYING", STARTING=1)), startup_timeout_sec=0.01)
    with pytest.raises(RuntimeError, match=r"serve\.startup_timeout_sec: 0\.01 .*model-0-base: 1 starting"):
        one.start(threading.Event())


def test_it_can_be_stopped_while_it_loads(started):
    stopping = threading.Event()
    stopping.set()
    serve = FakeServe(state("DEPLOYING"))
    one, _ = started(serve)
    one.start(stopping)
    one.drain()
    one.shutdown()
    assert serve.calls[-1] == "shutdown"


def test_it_waits_for_requests_under_way(started):
    serve = FakeServe(state("RUNNING"), in_flight=[2, 2, 1, 0])
    one, lines = started(serve)
    one.start(threading.Event())
    one.drain()
    one.shutdown()
    assert serve.calls[1:] == ["drain", "shutdown"]
    assert lines[1].startswith("stopping: 2 requests in flight have 60 seconds")


def test_it_does_not_wait_for_ever(started):
    serve = FakeServe(state("RUNNING"), in_flight=[2])
    one, lines = started(serve, drain_timeout_sec=0.01)
    one.start(threading.Event())
    one.drain()
    assert serve.calls[1:] == ["drain", "cut"]
    assert "2 requests did not finish in time and get an error" in lines


def test_what_becomes_of_replicas_is_told(started, monkeypatch):
    monkeypatch.setattr(server, "WATCH_SEC", 0.001)
    serve = FakeServe(
        state("RUNNING"),
        state("RUNNING", RUNNING=2),
        state("RUNNING", RUNNING=1),
        state("RUNNING", RUNNING=2),
    )
    one, lines = started(serve)
    one.start(threading.Event())
    stopping = threading.Event()

    def tell(line: str) -> None:
        lines.append(line)
        if line.endswith("2 running"):
            stopping.set()

    one._report = tell
    one.watch(stopping)
    assert lines[-2:] == ["model-0-base: 1 running", "model-0-base: 2 running"]
