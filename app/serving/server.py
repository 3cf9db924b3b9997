"""The server as a job: starts Serve with the models, waits until all are ready, and drains when it is told to stop."""

import contextlib
import logging
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import ray
from ray import serve as ray_serve
from ray.serve.handle import DeploymentHandle
from ray.serve.schema import ApplicationStatusOverview

from app.config import RunConfig
from app.faults import UserError
from app.progress.attempts import Report
from app.serving.access import is_loopback, read_key
from app.serving.application import build_application
from app.serving.ownership import claim, is_left_behind, release, remember_serve
from app.serving.sources import serve_section

APPLICATION = "longstrap"
POLL_SEC, WATCH_SEC, DRAIN_POLL_SEC, CALL_SEC = 0.5, 5.0, 0.2, 30.0
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (what a user may have given)


def serve(config: RunConfig, report: Report) -> None:
    """Serve the models until SIGTERM or SIGINT, then let the requests under way end.

    Args:
        config: Checked settings; Ray is connected.
        report: Takes one line for the person who watches.

    Raises:
        UserError: Serve runs on this cluster already, others reach a Ray without token authentication, or a model
            could not be loaded.
    """
    server = Server(config, report)
    with _set_on_signals() as stopping:
        try:
            server.start(stopping)
            if not stopping.is_set():
                report(f"serving {', '.join(server.models)} at {server.url}; SIGTERM or Ctrl-C stops it")
                server.watch(stopping)
            server.drain()
        finally:
            server.shutdown()


@contextlib.contextmanager
def serving(config: RunConfig, report: Report) -> Iterator[str]:
    """Serve the models inside the block.

    Yields:
        The base URL, with /v1.

    Raises:
        UserError: As in `serve`.
    """
    server = Server(config, report)
    try:
        server.start(threading.Event())
        yield server.url
    finally:
        server.shutdown()


class Server:
    """Serve on this Ray, with one application."""

    def __init__(self, config: RunConfig, report: Report) -> None:
        self._config, self._report = config, report
        self._settings = serve_section(config)
        self._ingress: DeploymentHandle | None = None
        self._owner: Any = None
        self.models = list(self._settings.models)

    @property
    def url(self) -> str:
        """Where it answers, from the machine that it listens on."""
        host = WILDCARDS.get(self._settings.host, self._settings.host).strip("[]")
        return f"http://{f'[{host}]' if ':' in host else host}:{self._settings.port}/v1"

    def start(self, stopping: threading.Event) -> None:
        """Load the models and return when each has as many replicas as it begins with, or `stopping` is set."""
        self._check_cluster()
        logging.getLogger("ray.serve").setLevel(logging.WARNING)
        try:
            self._owner = claim()
        except ValueError as error:
            # Another `serve` has come between the look and this.
            raise _occupied() from error
        ray_serve.start(
            proxy_location="HeadOnly",
            http_options={"host": self._settings.host.strip("[]"), "port": self._settings.port},
        )
        remember_serve()
        application = build_application(self._config, read_key(self._settings))
        self._report(f"loading {', '.join(self.models)}")
        [self._ingress] = ray_serve.run_many(
            [ray_serve.RunTarget(target=application, name=APPLICATION)], wait_for_applications_running=False
        )
        deadline = time.monotonic() + self._settings.startup_timeout_sec
        while not stopping.wait(POLL_SEC):
            status = _status()
            if status.status == "RUNNING":
                return
            if status.status in ("DEPLOY_FAILED", "UNHEALTHY"):
                raise UserError(f"serve.models: could not be loaded: {_faults(status)}")
            if time.monotonic() > deadline:
                raise UserError(
                    f"serve.startup_timeout_sec: {self._settings.startup_timeout_sec:g} seconds were not enough "
                    f"for all models to be loaded ({_replicas(status)}); {_faults(status)}"
                )

    def watch(self, stopping: threading.Event) -> None:
        """Report what changes, until `stopping` is set."""
        replicas, counts = _replicas(_status()), self._counts()
        told_sec = time.monotonic()
        while not stopping.wait(WATCH_SEC):
            if (now := _replicas(_status())) != replicas:
                replicas = now
                self._report(replicas)
            if time.monotonic() - told_sec < self._config.progress.log_interval_sec:
                continue
            told_sec = time.monotonic()
            if (latest := self._counts()) != counts:
                counts = latest
                self._report(_describe(counts))

    def drain(self) -> None:
        """Refuse new requests, wait for those under way, and end what is still there after that."""
        if self._ingress is None:
            return
        self._call("drain")
        counts = self._counts()
        limit = self._settings.drain_timeout_sec
        self._report(f"stopping: {counts['in_flight']} requests in flight have {limit:g} seconds to finish")
        deadline = time.monotonic() + limit
        while counts["in_flight"] and time.monotonic() < deadline:
            time.sleep(DRAIN_POLL_SEC)
            counts = self._counts()
        if counts["in_flight"]:
            self._report(f"{counts['in_flight']} requests did not finish in time and get an error")
            self._call("cut")
            # Their errors must reach the clients before the processes between go.
            time.sleep(POLL_SEC)
        self._report(f"stopped: {_describe(self._counts())}")

    def shutdown(self) -> None:
        """End Serve, if it is ours."""
        if self._owner is not None:
            ray_serve.shutdown()
            release(self._owner)
            self._owner = None

    def _check_cluster(self) -> None:
        running = ray_serve.status()
        if set(running.applications) <= {APPLICATION} and is_left_behind(APPLICATION):
            self._report("ending what a driver that was killed has left behind")
            ray_serve.shutdown()
        elif running.applications or running.proxies:
            raise _occupied()
        host = self._settings.host
        if not is_loopback(host) and not _has_token_authentication():
            raise UserError(
                f"serve.host: {host!r} accepts requests from other machines, and this Ray accepts jobs from anyone who "
                f"reaches it; start it with RAY_AUTH_MODE=token, or listen on 127.0.0.1"
            )

    def _counts(self) -> dict[str, int]:
        counts: dict[str, int] = self._call("counts")
        return counts

    def _call(self, method: str) -> Any:
        assert self._ingress is not None
        return getattr(self._ingress, method).remote().result(timeout_s=CALL_SEC)


def _occupied() -> UserError:
    return UserError(
        "serve: Ray Serve already runs on this cluster, at another address; end it with `serve shutdown`, or give "
        "RAY_ADDRESS of another cluster"
    )


def _status() -> ApplicationStatusOverview:
    return ray_serve.status().applications[APPLICATION]


def _replicas(status: ApplicationStatusOverview) -> str:
    """How many replicas each deployment has, by what they do."""
    parts = []
    for name, deployment in status.deployments.items():
        states = ", ".join(f"{number} {state.lower()}" for state, number in deployment.replica_states.items())
        parts.append(f"{name}: {states or 'no replica'}")
    return "; ".join(parts)


def _faults(status: ApplicationStatusOverview) -> str:
    """The last line of each message: what comes before is the way that an error took through Ray."""
    told = {name: each.message for name, each in status.deployments.items() if each.message.strip()}
    lines = [f"{name}: {message.strip().splitlines()[-1]}" for name, message in told.items()]
    if not lines and status.message.strip():
        lines = [status.message.strip().splitlines()[-1]]
    return "; ".join([*lines, _logs()])


def _logs() -> str:
    return f"the replicas' logs are in {ray.get_runtime_context().get_session_name()}/logs of Ray's temp dir"


def _describe(counts: dict[str, int]) -> str:
    return (
        f"{counts['ended']} requests answered ({counts['failed']} failed), {counts['in_flight']} under way, "
        f"{counts['queued']} of them in the queue"
    )


def _has_token_authentication() -> bool:
    """Whether the Ray that this process is connected to asks everybody for a token."""
    from ray._private.authentication.authentication_utils import is_token_auth_enabled

    return bool(is_token_auth_enabled())


@contextlib.contextmanager
def _set_on_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set, instead of what they do otherwise."""
    stopping = threading.Event()
    before = {number: signal.signal(number, lambda *_: stopping.set()) for number in STOP_SIGNALS}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
