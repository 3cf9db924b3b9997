"""Sends the samples that have no answer yet, several at once; the first of a group with a common prefix goes ahead."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator

from app.endpoints.replies import RequestError
from app.quantities import duration
from eval.client import EvaluationClient
from eval.records import Record, RecordStore
from eval.samples import Sample


class Runner:
    """One model's requests of one suite.

    Args:
        client: Asks the model.
        store: Has what is answered, and gets the rest.
        num_concurrent: Requests under way at once.
        report: Gets a line every `interval_sec`.
        interval_sec: See there.
        name: Name of suite and model, for progress lines.
    """

    def __init__(
        self,
        client: EvaluationClient,
        store: RecordStore,
        num_concurrent: int,
        report: Callable[[str], None],
        interval_sec: float,
        name: str,
    ) -> None:
        self._client = client
        self._store = store
        self._num_concurrent = num_concurrent
        self._report = report
        self._interval_sec = interval_sec
        self._name = name
        self._slots = asyncio.Semaphore(num_concurrent)
        self._group_begun: dict[str, asyncio.Event] = {}
        self._num_done = self._num_failed = 0
        self._started = time.monotonic()

    async def ask_all(self, samples: Iterator[Sample], num_samples: int) -> None:
        """Send all samples; each becomes a record.

        Raises:
            UserError: The endpoint refuses every request, or nobody answers any more. What is answered is kept.
        """
        watching = asyncio.create_task(self._watch(num_samples))
        # Twice as many as can be under way are held in memory, so that none waits for the disk.
        places = asyncio.Semaphore(2 * self._num_concurrent)

        async def ask_in_place(sample: Sample) -> None:
            try:
                await self._ask_in_turn(sample)
            finally:
                places.release()

        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    await places.acquire()
                    sample = await asyncio.to_thread(next, samples, None)
                    if sample is None:
                        break
                    tasks.create_task(ask_in_place(sample))
        except BaseExceptionGroup as group:
            # The first one is why the others were stopped.
            raise group.exceptions[0] from None
        finally:
            watching.cancel()
        self._tell(num_samples)

    async def _ask_in_turn(self, sample: Sample) -> None:
        begun = self._group_begun.get(sample.group) if sample.group else None
        if sample.group and begun is None:
            begun = self._group_begun[sample.group] = asyncio.Event()
            try:
                await self._ask(sample)
            finally:
                begun.set()
            return
        if begun is not None:
            await begun.wait()
        await self._ask(sample)

    async def _ask(self, sample: Sample) -> None:
        async with self._slots:
            try:
                record = Record.of(sample, await self._client.ask(sample))
            except RequestError as error:
                record = Record.of(sample, None, str(error))
            await self._store.add(record)
        self._num_done += 1
        self._num_failed += record.error is not None

    async def _watch(self, num_samples: int) -> None:
        while True:
            await asyncio.sleep(self._interval_sec)
            self._tell(num_samples)

    def _tell(self, num_samples: int) -> None:
        sec = time.monotonic() - self._started
        per_sec = self._num_done / sec if sec else 0.0
        left = (num_samples - self._num_done) / per_sec if per_sec else None
        failed = f", {self._num_failed:,} failed" if self._num_failed else ""
        rate = f"{per_sec:.1f} a second" if per_sec >= 1 else f"{60 * per_sec:.1f} a minute"
        end = f"{duration(left)} left" if self._num_done < num_samples else f"in {duration(sec)}"
        self._report(f"{self._name}: {self._num_done:,} of {num_samples:,} asked{failed}, {rate}, {end}")


def unanswered(store: RecordStore, sample_ids: Iterable[str], thinking_tokens: int = 0) -> set[str]:
    """Samples to be asked: without a reply, failed, or cut by another budget for thought than this one."""
    return {sample_id for sample_id in sample_ids if not store.is_answered(sample_id, thinking_tokens)}
