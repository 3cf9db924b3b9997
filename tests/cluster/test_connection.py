import logging
import socket
import threading
import time

import pytest
import ray

from app.cluster import connection
from app.cluster.connection import connect
from app.config import RayConfig
from app.faults import UserError


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def refusal() -> str:
    with pytest.raises(UserError) as raised, connect(RayConfig()):
        pytest.fail("is connected")
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_dead_address_is_refused_after_a_bounded_time(monkeypatch, free_port):
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{free_port}")
    monkeypatch.setattr(connection, "TRY_SEC", 0.2)
    monkeypatch.setattr(connection, "PAUSE_SEC", 0.05)
    monkeypatch.setattr(ray, "init", lambda **_: pytest.fail("Ray is asked, and waits for minutes"))
    assert refusal().startswith(f"RAY_ADDRESS: no Ray answers at '127.0.0.1:{free_port}' (")
    assert refusal().endswith("; start one there, or unset it to run on this machine")


def test_a_head_that_is_just_starting_is_waited_for(monkeypatch, free_port):
    monkeypatch.setattr(connection, "PAUSE_SEC", 0.05)

    def listen():
        time.sleep(0.2)
        with socket.create_server(("127.0.0.1", free_port)) as server:
            server.accept()

    thread = threading.Thread(target=listen)
    thread.start()
    connection._try_port(f"127.0.0.1:{free_port}")
    thread.join()


@pytest.mark.parametrize("address", ["head", "head:", ":6379", "head:99999", "head:port"])
def test_what_is_no_address_is_refused_at_once(monkeypatch, address):
    monkeypatch.setenv("RAY_ADDRESS", address)
    assert "is not HOST:PORT" in refusal()


def test_a_ray_that_does_not_start_is_one_line(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)

    def fail(**_):
        raise Exception("The current node timed out during startup. This\n could happen")

    monkeypatch.setattr(ray, "init", fail)
    assert refusal().startswith("ray: it does not start on this machine (The current node timed out during")


def test_a_wrong_call_of_ours_is_no_fault_of_the_users(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "init", lambda: logging.info("takes none of our arguments"))
    with pytest.raises(TypeError), connect(RayConfig()):
        pytest.fail("is connected")
