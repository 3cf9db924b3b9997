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

    def __init__(self, *states, in_flight=(0,), before=(), proxies=()):
        self.states = list(states)
        self.proxies = dict.fromkeys(proxies)
        self.in_flight = list(in_flight)
        self.calls = []
        self.applications = dict.fromkeys(before)

    def status(self):
        applications = dict(self.applications)
        if "longstrap" in applications:
            applications["longstrap"] = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return SimpleNamespace(applications=applications, proxies=self.proxies)

    def start(self, **options):
        self.calls.append(("start", options["http_options"]))

    def run_many(self, targets, **options):
        self.applications["longstrap"] = None
        return [self]

    def shutdown(self):
        self.calls.append("shutdown")
        self.applications, self.proxies = {}, {}

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

    def make(serve: FakeServe, is_left_behind=False, **settings) -> tuple[Server, list[str]]:
        monkeypatch.setattr(server, "ray_serve", serve)
        monkeypatch.setattr(server, "POLL_SEC", 0.001)
        monkeypatch.setattr(server, "DRAIN_POLL_SEC", 0.001)
        monkeypatch.setattr(server, "claim", lambda: serve.calls.append("claim") or "owner")
        monkeypatch.setattr(server, "remember_serve", lambda: serve.calls.append("remember"))
        monkeypatch.setattr(server, "release", lambda owner: serve.calls.append("release"))
        monkeypatch.setattr(server, "is_left_behind", lambda name: is_left_behind)
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
    assert serve.calls == ["claim", ("start", {"host": "127.0.0.1", "port": 8123}), "remember"]
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


@pytest.mark.parametrize(
    ("before", "is_left_behind"), [(["other"], True), (["longstrap"], False), (["longstrap", "other"], True)]
)
def test_a_serve_of_others_is_left_alone(started, before, is_left_behind):
    serve = FakeServe(state("RUNNING"), before=before)
    one, _ = started(serve, is_left_behind)
    with pytest.raises(UserError, match=r"^serve: Ray Serve already runs on this cluster"):
        one.start(threading.Event())
    one.shutdown()
    assert serve.calls == []


def test_what_a_killed_driver_left_behind_does_not_block_the_next_one(started):
    serve = FakeServe(state("RUNNING"), before=["longstrap"])
    one, lines = started(serve, is_left_behind=True)
    one.start(threading.Event())
    assert serve.calls[:2] == ["shutdown", "claim"]
    assert lines[0] == "ending what a driver that was killed has left behind"
    one.shutdown()
    assert serve.calls[-2:] == ["shutdown", "release"]


@pytest.mark.parametrize("is_left_behind", [True, False])
def test_a_serve_without_an_application_is_ended_only_where_a_killed_driver_has_left_it(
    started, is_left_behind
):
    serve = FakeServe(state("RUNNING"), proxies=["node"])
    one, lines = started(serve, is_left_behind)
    if is_left_behind:
        one.start(threading.Event())
        assert serve.calls[:2] == ["shutdown", "claim"]
        assert lines[0] == "ending what a driver that was killed has left behind"
    else:
        with pytest.raises(UserError, match=r"^serve: Ray Serve already runs on this cluster"):
            one.start(threading.Event())
        assert serve.calls == []


def test_of_two_that_start_at_once_one_is_told_so(started, monkeypatch):
    def claimed():
        raise ValueError("The name serve-owner (namespace=longstrap) is already taken.")

    serve = FakeServe(state("RUNNING"))
    one, _ = started(serve)
    monkeypatch.setattr(server, "claim", claimed)
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
    message = "failed to start 3 times\nTraceback:\n  File x\nRuntimeError: no such weights\n"
    one, _ = started(FakeServe(state("DEPLOYING"), state("DEPLOY_FAILED", message)))
    with pytest.raises(UserError) as caught:
        one.start(threading.Event())
    assert str(caught.value) == (
        "serve.models: could not be loaded: model-0-base: RuntimeError: no such weights; the logs are somewhere"
    )


def test_a_model_that_takes_too_long_ends_it_with_the_limit(started):
    one, _ = started(FakeServe(state("DEPLOYING", STARTING=1)), startup_timeout_sec=0.01)
    with pytest.raises(UserError, match=r"^serve\.startup_timeout_sec: 0\.01 .*model-0-base: 1 starting"):
        one.start(threading.Event())


def test_it_can_be_stopped_while_it_loads(started):
    stopping = threading.Event()
    stopping.set()
    serve = FakeServe(state("DEPLOYING"))
    one, _ = started(serve)
    one.start(stopping)
    one.drain()
    one.shutdown()
    assert serve.calls[-2:] == ["shutdown", "release"]


def test_it_waits_for_requests_under_way(started):
    serve = FakeServe(state("RUNNING"), in_flight=[2, 2, 1, 0])
    one, lines = started(serve)
    one.start(threading.Event())
    one.drain()
    one.shutdown()
    assert serve.calls[3:] == ["drain", "shutdown", "release"]
    assert lines[1].startswith("stopping: 2 requests in flight have 60 seconds")


def test_it_does_not_wait_for_ever(started):
    serve = FakeServe(state("RUNNING"), in_flight=[2])
    one, lines = started(serve, drain_timeout_sec=0.01)
    one.start(threading.Event())
    one.drain()
    assert serve.calls[3:] == ["drain", "cut"]
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
