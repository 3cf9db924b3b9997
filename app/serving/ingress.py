"""The front as a Serve deployment: models are handles, their replicas Ray's."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import ray
from ray import serve
from ray.exceptions import RayActorError, RayError
from ray.serve.exceptions import (
    BackPressureError,
    DeploymentUnavailableError,
    RayServeException,
    ReplicaUnavailableError,
)
from ray.serve.handle import DeploymentHandle

from app.serving.engine_metrics import engine_lines, read_node_metrics
from app.serving.front import Front
from app.serving.replies import Message, RequestError
from app.serving.request_limits import RETRY_AFTER_SEC, Limits

STATUS_SEC = 1.0
"""Health is asked of Serve's controller no more often."""


class Ingress:
    """One replica of it takes all requests, so that one place counts them and refuses."""

    def __init__(
        self,
        handles: dict[str, DeploymentHandle],
        lengths: Mapping[str, int | None],
        queues: Mapping[str, int],
        places: Mapping[str, int],
        limits: Limits,
        key_digest: bytes | None,
    ) -> None:
        """Make the front.

        Args:
            handles: Handles of each model's replicas, by its name in requests.
            lengths: Longest prompt and answer together of each.
            queues: `max_queued_requests` of each.
            places: How many sequences of each may run or wait.
            limits: Limits of one request.
            key_digest: Digest of the key that clients must send. None: no key is required.
        """
        self._front = Front(lengths, places, HandleBackend(handles, queues), limits, key_digest)

    def __serve_build_asgi_app__(self) -> Front:
        return self._front

    async def drain(self) -> None:
        """Refuse new requests."""
        self._front.drain()

    async def cut(self) -> None:
        """End those that are still under way."""
        self._front.cut()

    async def counts(self) -> dict[str, int]:
        """Requests that ended, failed, are under way, and wait."""
        traffic = self._front.traffic
        return {
            "ended": traffic.num_ended,
            "failed": traffic.num_failed,
            "in_flight": traffic.num_in_flight,
            "queued": traffic.num_queued,
        }


class HandleBackend:
    """Models that are called through Serve's handles."""

    def __init__(self, handles: dict[str, DeploymentHandle], queues: Mapping[str, int]) -> None:
        self._handles = {name: handle.options(stream=True) for name, handle in handles.items()}
        self._deployments = {handle.deployment_name for handle in handles.values()}
        self._queues = queues
        self._num_ready = 0
        self._asked_sec = float("-inf")

    @asynccontextmanager
    async def answer(self, model: str, call: str, body: bytes) -> AsyncIterator[AsyncIterator[Message]]:
        """Messages of one answer; see `app.serving.front.Backend`."""
        response = self._handles[model].answer.remote(call, body)
        is_over = False

        async def messages() -> AsyncIterator[Message]:
            nonlocal is_over
            async for message in response:
                yield message
            is_over = True

        try:
            yield messages()
        except BackPressureError as error:
            is_over = True
            raise RequestError(
                429,
                f"the queue of {model} is full: max_queued_requests {self._queues[model]} wait already; send the "
                f"request again later",
                code="rate_limit_exceeded",
                retry_after_sec=RETRY_AFTER_SEC,
            ) from error
        except (RayActorError, DeploymentUnavailableError, ReplicaUnavailableError) as error:
            is_over = True
            raise RequestError(
                503,
                f"the replica of {model} that had this request is gone; send it again",
                retry_after_sec=RETRY_AFTER_SEC,
                is_loss=isinstance(error, RayActorError),
            ) from error
        finally:
            if not is_over:
                response.cancel()

    async def num_ready(self) -> int:
        """Models of which Serve has a replica that passed its last check."""
        if time.monotonic() - self._asked_sec > STATUS_SEC:
            self._asked_sec = time.monotonic()
            self._num_ready = await asyncio.to_thread(self._count_ready)
        return self._num_ready

    def _count_ready(self) -> int:
        application = serve.status().applications[serve.get_replica_context().app_name]
        running = [
            name
            for name, deployment in application.deployments.items()
            if name in self._deployments and deployment.replica_states.get("RUNNING", 0)
        ]
        return len(running)

    async def engine_metrics(self) -> bytes:
        """The engines' metrics, of every node that exports them."""
        try:
            nodes = await asyncio.to_thread(ray.nodes)
        except (RayError, RayServeException):
            return b""
        places = [(node["NodeManagerAddress"], node["MetricsExportPort"]) for node in nodes if node["Alive"]]
        return engine_lines(await asyncio.gather(*(read_node_metrics(*place) for place in places)))
