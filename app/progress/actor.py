"""Progress through Ray: agent actors send counts, one actor adds them up and exports metrics, the driver shows them.

All of it is best effort. An actor that dies is started anew, and the driver keeps what it had counted; a job
neither waits for its progress nor fails with it.
"""

import contextlib
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import ray
from ray.exceptions import RayError
from ray.util.metrics import Counter, Gauge
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from app.progress.counts import Counters, Delta, StepCounts, Tally
from app.progress.memory_pressure import count_memory_kills, memory_line
from app.progress.view import ProgressView

SEND_INTERVAL_SEC = 1.0
POLL_INTERVAL_SEC = 1.0
ANSWER_TIMEOUT_SEC = 5.0
MEMORY_INTERVAL_SEC = 10.0
STRAGGLERS_SEC = 3.0
"""How long the end of a finished job waits for counts that are still on their way."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """Counters of one life of the actor."""

    life: str
    counters: Counters


class ProgressTally:
    """The actor's class: adds up, and exports Ray metrics."""

    def __init__(self, run_name: str, num_seeds: int, num_seeds_done_before: int) -> None:
        self._life = uuid.uuid4().hex
        self._tally = Tally(num_seeds, num_seeds_done_before)
        tags = {"run": _label(run_name)}
        self._seeds_done = _gauge("longstrap_seeds_done", "Seeds that became an example or a reject", tags)
        self._rejects = _gauge("longstrap_rejects", "Rejected seeds by reason", tags, "reason")
        self._examples = _gauge("longstrap_examples", "Finished examples", tags)
        # A gauge that nobody holds is exported no more.
        self._seeds = _gauge("longstrap_seeds", "All seeds of the run", tags)
        self._seeds.set(num_seeds)
        self._seeds_done.set(num_seeds_done_before)
        self._counters = {
            "calls": _counter("longstrap_llm_calls", "LLM calls made", tags),
            "prompt_tokens": _counter("longstrap_prompt_tokens", "Prompt tokens of the calls made", tags),
            "output_tokens": _counter("longstrap_output_tokens", "Generated tokens", tags),
            "cached_tokens": _counter(
                "longstrap_cached_tokens", "Prompt tokens that the prefix cache served", tags
            ),
            "replayed": _counter("longstrap_replayed_calls", "Calls answered from the journal", tags),
        }

    def add(self, delta: Delta) -> None:
        self._tally.add(delta)
        for step, counts in delta.steps.items():
            for name, counter in self._counters.items():
                if number := getattr(counts, name):
                    counter.inc(number, tags={"step": step})
        if delta.outcomes:
            counters = self._tally.counters
            # Again, as an export is lost while the node's metrics agent is not up.
            self._seeds.set(counters.num_seeds)
            self._seeds_done.set(counters.num_seeds_done)
            self._examples.set(counters.num_examples)
            for reason, number in counters.rejects.items():
                self._rejects.set(number, tags={"reason": _label(reason)})

    def snapshot(self) -> Snapshot:
        return Snapshot(self._life, self._tally.counters)


def start_progress_actor(run_name: str, num_seeds: int, num_seeds_done_before: int = 0) -> Any:
    """Start the actor on the driver's node, where it outlives the workers that come and go.

    Args:
        run_name: Tag `run` of the metrics, where what is beyond ASCII is escaped as in a URL.
        num_seeds: All seeds of the run.
        num_seeds_done_before: Seeds that earlier starts finished.
    """
    node = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    # Retries: what is sent while the actor is being restarted waits for its next life.
    actor = ray.remote(ProgressTally).options(
        num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=node
    )
    return actor.remote(run_name, num_seeds, num_seeds_done_before)


class ProgressSender:
    """Counts inside an agent actor and tells the progress actor once a second. Safe to call from any thread.

    Made in the process that counts; it can't be pickled.
    """

    def __init__(self, progress_actor: Any) -> None:
        self._actor = progress_actor
        self._lock = threading.Lock()
        self._delta = Delta()
        self._closed = threading.Event()
        threading.Thread(target=self._send_regularly, name="progress-sender", daemon=True).start()

    def count(
        self,
        step: str,
        calls: int = 1,
        prompt_tokens: int = 0,
        output_tokens: int = 0,
        cached_tokens: int = 0,
        replayed: int = 0,
    ) -> None:
        """Count LLM calls of one step.

        Args:
            step: Name of the workflow's step.
            calls: Calls that were really made; 0 for a replayed one.
            prompt_tokens: Prompt tokens of the calls made.
            output_tokens: Output tokens of the calls made.
            cached_tokens: Prompt tokens that the prefix cache served.
            replayed: Calls answered from the journal of an earlier start.
        """
        counts = StepCounts(calls, prompt_tokens, output_tokens, cached_tokens, replayed)
        with self._lock:
            self._delta.steps.setdefault(step, StepCounts()).add(counts)

    def finish_row(self, seed_id: str, reject_reason: str = "") -> None:
        """Count a finished seed: an example, or a reject with its reason. Sent at once: it may be the last."""
        with self._lock:
            self._delta.outcomes[seed_id] = reject_reason
        self.flush()

    def flush(self) -> None:
        """Tell now what has been counted."""
        with self._lock:
            delta, self._delta = self._delta, Delta()
        if delta.steps or delta.outcomes:
            # Nobody waits for the answer: a lost delta costs a number on a screen.
            with contextlib.suppress(RayError):
                self._actor.add.remote(delta)

    def close(self) -> None:
        """Tell the rest and stop the thread."""
        self._closed.set()
        self.flush()

    def _send_regularly(self) -> None:
        while not self._closed.wait(SEND_INTERVAL_SEC):
            self.flush()


class Watcher:
    """Reads the progress actor, and remembers what it had counted before it died and was restarted."""

    def __init__(self, progress_actor: Any) -> None:
        self._actor = progress_actor
        self._life = ""
        self._before: Counters | None = None
        self._last: Counters | None = None

    def ask(self) -> Counters | None:
        """Newest counters; the last known ones while the actor doesn't answer; None when it never has."""
        try:
            snapshot: Snapshot = ray.get(self._actor.snapshot.remote(), timeout=ANSWER_TIMEOUT_SEC)
        except RayError:
            return self._last
        counters = snapshot.counters
        if self._life and snapshot.life != self._life:
            self._before = self._last
        self._life = snapshot.life
        if self._before:
            counters.add(self._before)
        self._last = counters
        return counters


class MemoryWatch:
    """Looks now and then whether the memory monitor has ended more workers since the job began."""

    def __init__(self, count: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        self._count = count
        self._clock = clock
        self._before = self._told = count()
        self._next_look = clock() + MEMORY_INTERVAL_SEC

    def look(self) -> str | None:
        """A line to show, each time that there are more of them."""
        if self._clock() < self._next_look:
            return None
        self._next_look = self._clock() + MEMORY_INTERVAL_SEC
        found = self._count()
        if found <= self._told:
            return None
        self._told = found
        return memory_line(found - self._before)


@contextlib.contextmanager
def watch(progress_actor: Any, view: ProgressView) -> Iterator[Watcher]:
    """Show the progress actor's counters in a background thread while the block runs."""
    watcher, stop = Watcher(progress_actor), threading.Event()
    memory = MemoryWatch(count_memory_kills)

    def follow() -> None:
        while not stop.wait(POLL_INTERVAL_SEC):
            if text := memory.look():
                view.tell(text)
            if counters := watcher.ask():
                try:
                    view.update(counters)
                except OSError as error:
                    # Should storage really be gone, the job's own writes will tell.
                    logger.warning("progress is not shown: %s", error)

    thread = threading.Thread(target=follow, name="progress-view", daemon=True)
    view.start()
    thread.start()
    finished = False
    try:
        yield watcher
        finished = True
    finally:
        stop.set()
        thread.join()
        deadline = time.monotonic() + STRAGGLERS_SEC
        counters = watcher.ask()
        while finished and counters and counters.num_seeds_done < counters.num_seeds:
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
            counters = watcher.ask()
        try:
            view.close(counters)
        except OSError as error:
            logger.warning("progress is not shown: %s", error)


def _label(text: str) -> str:
    """Text as a metric's label, for which Ray takes ASCII alone: `größe` is `gr%C3%B6%C3%9Fe`."""
    return quote(text, safe=" !#$&'()*+,/:;=?@[]", errors="replace")


def _gauge(name: str, description: str, tags: dict[str, str], *keys: str) -> Gauge:
    gauge = Gauge(name, description=description, tag_keys=("run", *keys))
    gauge.set_default_tags(tags)
    return gauge


def _counter(name: str, description: str, tags: dict[str, str]) -> Counter:
    counter = Counter(name, description=description, tag_keys=("run", "step"))
    counter.set_default_tags(tags)
    return counter
