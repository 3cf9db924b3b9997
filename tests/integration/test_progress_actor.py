"""Progress through a real Ray: counts of several actors, a job's end, the death of the progress actor."""

import io
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import pytest
import ray
from rich.console import Console

from app.cluster.connection import connect
from app.config import RayConfig
from app.progress.actor import ProgressSender, start_progress_actor, watch
from app.progress.counts import StepCounts
from app.progress.view import ProgressView
from app.storage import Folder


def start_agent(progress_actor: Any) -> Any:
    # In here, as workers can't import a test's module: Ray then sends the class itself.
    class Agent:
        """Counts what an agent actor counts, and says nothing at its end."""

        def __init__(self) -> None:
            self.progress = ProgressSender(progress_actor)

        def work(self, seed_ids: list[str]) -> None:
            for seed_id in seed_ids:
                self.progress.count(step="summarize", prompt_tokens=100, output_tokens=10, cached_tokens=60)
                self.progress.count(step="answer", calls=0, replayed=1)
                self.progress.finish_row(seed_id, "" if int(seed_id) % 5 else "no evidence")

    return ray.remote(num_cpus=0)(Agent).remote()


@pytest.fixture(scope="module", autouse=True)
def local_ray() -> Iterator[None]:
    # Sockets need a short path, which pytest's are not.
    folder = tempfile.mkdtemp(prefix="ls", dir="/tmp")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        with connect(RayConfig(num_cpus=2, object_store_mb=100, temp_dir=folder)):
            yield
    assert not ray.is_initialized()
    shutil.rmtree(folder, ignore_errors=True)


def watched(folder: Folder, num_seeds: int, before: int, disturb: bool = False) -> Any:
    actor = start_progress_actor("test", num_seeds, before)
    agents = [start_agent(actor) for _ in range(2)]
    view = ProgressView(folder, 60.0, Console(file=io.StringIO()))
    seed_ids = [str(seed) for seed in range(before, num_seeds)]
    half = len(seed_ids) // 2
    with watch(actor, view) as watcher:
        ray.get([agent.work.remote(seed_ids[i:half:2]) for i, agent in enumerate(agents)])
        if disturb:
            while (watcher.ask() or pytest.fail("no answer")).num_seeds_done < before + half:
                time.sleep(0.1)
            life = ray.get(actor.snapshot.remote()).life
            ray.kill(actor, no_restart=False)
            # What a dying actor still takes is lost with it: best effort. What its next life takes is not.
            while ray.get(actor.snapshot.remote()).life == life:
                time.sleep(0.1)
        ray.get([agent.work.remote(seed_ids[half + i :: 2]) for i, agent in enumerate(agents)])
    counters = watcher.ask()
    [name] = folder.list_names(".jsonl")
    return counters, json.loads(folder.read_bytes(name).splitlines()[-1])


@pytest.mark.parametrize("disturb", [False, True], ids=["undisturbed", "progress actor killed"])
def test_all_counts_arrive_before_the_view_closes(tmp_path, disturb):
    counters, record = watched(Folder(str(tmp_path)), num_seeds=100, before=20, disturb=disturb)
    assert (counters.num_examples, counters.rejects) == (64, {"no evidence": 16})
    assert counters.num_seeds_done == 100
    assert counters.steps == {
        "summarize": StepCounts(calls=80, prompt_tokens=8000, output_tokens=800, cached_tokens=4800),
        "answer": StepCounts(replayed=80),
    }
    assert (record["num_seeds_done"], record["calls"], record["replayed"]) == (100, 80, 80)


def test_a_job_outlives_its_progress(tmp_path):
    actor = start_progress_actor("test", 10)
    agent = start_agent(actor)
    ray.get(agent.work.remote(["1"]))
    ray.kill(actor, no_restart=True)
    with watch(actor, ProgressView(None, 60.0, Console(file=io.StringIO()))) as watcher:
        ray.get(agent.work.remote(["2"]))
        assert watcher.ask() is None
