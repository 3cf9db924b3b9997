"""A driver that serves is killed on a cluster: Serve's actors stay, and the next command takes over.

It is killed with its application running, or between the start of Serve and that.
"""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.ray_heads import LocalHead, free_ports, local_head

pytestmark = [pytest.mark.timeout(400), pytest.mark.long]

ROOT = Path(__file__).parents[2]
DRIVER = """
import os, pathlib, signal, time
import ray
from ray import serve
from app.serving.ownership import claim, is_left_behind, remember_serve

@serve.deployment(ray_actor_options={"num_cpus": 0})
class Model:
    pass

ray.init(log_to_driver=False)
status = serve.status()
names, is_up = sorted(status.applications), bool(status.applications or status.proxies)
print("applications", names, "proxies", len(status.proxies), "left behind", is_left_behind("longstrap"), flush=True)
if not is_up:
    owner = claim()
    serve.start(http_options={"host": "127.0.0.1", "port": PORT})
    remember_serve()
    if DEPLOYS:
        serve.run(Model.bind(), name="longstrap")
    pathlib.Path("SERVING").touch()
    while not pathlib.Path("KILL").exists():
        time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGKILL)
if is_left_behind("longstrap"):
    serve.shutdown()
    status = serve.status()
    print("applications", sorted(status.applications), "proxies", len(status.proxies), flush=True)
"""


@pytest.mark.parametrize(("deploys", "names"), [(True, ["longstrap"]), (False, [])])
def test_a_serve_is_left_behind_when_its_driver_is_killed_and_not_before(tmp_path, deploys, names):
    script, serving, kill = (tmp_path / name for name in ("driver.py", "serving", "kill"))
    code = DRIVER.replace("PORT", str(free_ports(1)[0])).replace("DEPLOYS", str(deploys))
    script.write_text(code.replace("SERVING", str(serving)).replace("KILL", str(kill)))

    def submit(head: LocalHead) -> "subprocess.Popen[str]":
        submission = ["job", "submit", "--address", head.address, "--", sys.executable, str(script)]
        return subprocess.Popen(
            [str(Path(sys.executable).parent / "ray"), *submission],
            env=head.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    with local_head("--num-cpus", "2", environment={"PYTHONPATH": str(ROOT)}) as head:
        first = submit(head)
        try:
            while not serving.exists():
                assert first.poll() is None, first.communicate()[0]
                time.sleep(0.5)
            assert f"applications {names} proxies 1 left behind False" in submit(head).communicate()[0]
            kill.touch()
            first.communicate()
            told = submit(head).communicate()[0]
            assert f"applications {names} proxies 1 left behind True\napplications [] proxies 0" in told
        finally:
            first.kill()
