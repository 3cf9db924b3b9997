"""Models behind Serve's handles, with handles that are doubles: what their errors become, and who is told to stop."""

import asyncio
from types import SimpleNamespace

import pytest
from ray.exceptions import ActorDiedError, ActorUnavailableError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from app.serving import ingress
from app.serving.ingress import HandleBackend
from app.serving.replies import RequestError
from tests.serving.fake_backend import WHOLE


class FakeResponse:
    """Gives messages; an exception among them is raised."""

    def __init__(self, messages):
        self.messages, self.is_cancelled = list(messages), False

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self.messages:
            raise StopAsyncIteration
        message = self.messages.pop(0)
        if isinstance(message, Exception):
            raise message
        return message

    def cancel(self):
        self.is_cancelled = True


class FakeHandle:
    """A deployment's handle that answers every call alike."""

    deployment_name = "model-0-base"

    def __init__(self, *messages):
        self.response, self.asked = FakeResponse(messages), []
        self.answer = SimpleNamespace(remote=self._remote)

    def options(self, stream):
        assert stream
        return self

    def _remote(self, call, body):
        self.asked.append((call, body))
        return self.response


def ask(handle, leave_after=None) -> list:
    backend = HandleBackend({"base": handle}, {"base": 7})

    async def run() -> list:
        seen = []
        async with backend.answer("base", "chat", b"{}") as messages:
            async for message in messages:
                seen.append(message)
                if len(seen) == leave_after:
                    raise TimeoutError
        return seen

    return asyncio.run(run())


def test_messages_pass_and_nobody_is_cancelled():
    handle = FakeHandle(None, WHOLE)
    assert ask(handle) == [None, WHOLE]
    assert handle.asked == [("chat", b"{}")]
    assert not handle.response.is_cancelled


def test_leaving_early_stops_the_replica():
    handle = FakeHandle(None, WHOLE)
    with pytest.raises(TimeoutError):
        ask(handle, leave_after=1)
    assert handle.response.is_cancelled


@pytest.mark.parametrize(
    ("fault", "status", "part"),
    [
        (BackPressureError(7, 7), 429, "max_queued_requests 7"),
        (ActorDiedError(), 503, "base"),
        (ActorUnavailableError("away", b"\x00" * 16), 503, "base"),
        (DeploymentUnavailableError("base"), 503, "base"),
    ],
)
def test_what_happens_to_replicas_is_told_to_clients(fault, status, part):
    with pytest.raises(RequestError) as caught:
        ask(FakeHandle(None, fault))
    assert caught.value.status == status
    assert part in caught.value.message
    assert caught.value.retry_after_sec
    assert caught.value.is_loss == isinstance(fault, ActorDiedError | ActorUnavailableError)


def test_a_model_is_ready_with_a_running_replica(monkeypatch):
    states = {"RUNNING": 0, "STARTING": 1}
    deployments = {
        "model-0-base": SimpleNamespace(replica_states=states),
        "ingress": SimpleNamespace(replica_states={"RUNNING": 1}),
    }
    num_asked = []

    def status():
        num_asked.append(1)
        return SimpleNamespace(applications={"app": SimpleNamespace(deployments=deployments)})

    context = SimpleNamespace(app_name="app")
    monkeypatch.setattr(ingress.serve, "status", status)
    monkeypatch.setattr(ingress.serve, "get_replica_context", lambda: context)
    backend = HandleBackend({"base": FakeHandle()}, {"base": 7})
    assert asyncio.run(backend.num_ready()) == 0
    states["RUNNING"] = 1
    assert asyncio.run(backend.num_ready()) == 0
    backend._asked_sec = float("-inf")
    assert asyncio.run(backend.num_ready()) == 1
    assert len(num_asked) == 2
