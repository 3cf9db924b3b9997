"""A driver that serves is killed on a cluster: Serve's actors stay, and the next command takes over."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.integration.ray_heads import free_ports, local_head

pytestmark = pytest.mark.timeout(300)

DRIVER = """
import time
import ray
from ray import serve
from app.serving.ownership import claim, is_left_behind, release

ray.init(address="GCS", log_to_driver=False)

@serve.deployment(ray_actor_options={"num_cpus": 0})
class Model:
    pass

names = set(serve.status().applications)
if names:
    print("left behind", is_left_behind("longstrap"), flush=True)
if not names or is_left_behind("longstrap"):
    if names:
        serve.shutdown()
    owner = claim()
    serve.start(http_options={"host": "127.0.0.1", "port": PORT})
    serve.run(Model.bind(), name="longstrap")
    print("serving", flush=True)
    time.sleep(600)
"""


def test_an_application_is_left_behind_when_its_driver_is_killed_and_not_before():
    with local_head("--num-cpus", "2") as head:
        environment = os.environ | head.environment
        drivers = []

        def driver() -> subprocess.Popen:
            code = DRIVER.replace("PORT", str(free_ports(1)[0])).replace("GCS", head.gcs_address)
            drivers.append(
                subprocess.Popen(
                    [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True
                )
            )
            return drivers[-1]

        try:
            first = driver()
            assert first.stdout.readline() == "serving\n"
            second = driver()
            assert second.stdout.read() == "left behind False\n"
            first.send_signal(signal.SIGKILL)
            first.wait()
            time.sleep(2)
            third = driver()
            assert third.stdout.readline() == "left behind True\n"
            assert third.stdout.readline() == "serving\n"
        finally:
            for each in drivers:
                if each.poll() is None:
                    each.kill()
