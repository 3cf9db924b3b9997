"""Counts of requests and replies, in Prometheus' text format."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CLIENT_GONE_STATUS = 499
"""nginx's number for a client that went away before its answer."""
FIRST_PIECE_BUCKETS_SEC = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
NO_MODEL = ""
"""Label of requests that name none of ours: whatever clients send must not become a label."""


@dataclass
class Watch:
    """One request on its way."""

    begun_sec: float = field(default_factory=time.monotonic)
    is_queued: bool = True
    status: int = CLIENT_GONE_STATUS
    """Of the reply, once it is sent to its end."""


class Traffic:
    """Requests of one server, from their first byte to their last."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "longstrap_requests", "Requests that ended.", ["model", "status"], registry=self._registry
        )
        self._in_flight = Gauge(
            "longstrap_requests_in_flight", "Requests under way.", ["model"], registry=self._registry
        )
        self._queued = Gauge(
            "longstrap_requests_queued",
            "Of those, the ones that wait for a replica.",
            ["model"],
            registry=self._registry,
        )
        self._first_piece = Histogram(
            "longstrap_time_to_first_piece_seconds",
            "From the request's arrival to the first piece of its answer.",
            ["model"],
            buckets=FIRST_PIECE_BUCKETS_SEC,
            registry=self._registry,
        )
        self.num_ended = 0
        self.num_in_flight = 0
        self.num_queued = 0
        self.num_failed = 0
        """Ended requests with a status of 500 or above."""

    @contextmanager
    def arrival(self) -> Iterator[None]:
        """Count a request while its body is still arriving; its model is not known yet."""
        self.num_in_flight += 1
        try:
            yield
        finally:
            self.num_in_flight -= 1

    @contextmanager
    def request(self, model: str) -> Iterator[Watch]:
        """A request for one of our models, inside the block."""
        watch = Watch()
        self._move(model, in_flight=1, queued=1)
        try:
            yield watch
        finally:
            self._move(model, in_flight=-1, queued=-1 if watch.is_queued else 0)
            self.count(model, watch.status)

    def leave_queue(self, model: str, watch: Watch) -> None:
        """A replica has taken the request."""
        if watch.is_queued:
            watch.is_queued = False
            self._move(model, in_flight=0, queued=-1)

    def begin_answer(self, model: str, watch: Watch) -> None:
        """The first piece of the answer is there."""
        self._first_piece.labels(model).observe(time.monotonic() - watch.begun_sec)

    def count(self, model: str, status: int) -> None:
        """A request that has ended."""
        self.num_ended += 1
        self.num_failed += status >= 500
        self._requests.labels(model, status).inc()

    def render(self) -> bytes:
        return generate_latest(self._registry)

    def _move(self, model: str, in_flight: int, queued: int) -> None:
        self.num_in_flight += in_flight
        self.num_queued += queued
        self._in_flight.labels(model).inc(in_flight)
        self._queued.labels(model).inc(queued)
