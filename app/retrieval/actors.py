"""Retrievers as Ray actors, and the client through which other actors query them."""

import asyncio
import zlib
from collections.abc import Sequence
from typing import Any

import ray
from ray.actor import ActorHandle

from app.cluster.faults import Kept, users_faults
from app.config import Config, RetrievalConfig
from app.retrieval.index_folder import open_retriever
from app.retrieval.retriever import Query
from app.run import Run
from app.schema import ContextDocument

MAX_BATCH_QUERIES = 32
GATHER_SEC = 0.005

_Waiting = tuple[Query, "asyncio.Future[list[ContextDocument]]"]


class RetrieverActor:
    """Answers queries that arrive one by one in batches of those that arrived together."""

    def __init__(self, config: RetrievalConfig, run: Run) -> None:
        # Not "whatever is there": without a GPU of its own it would take an engine's.
        device = "cuda" if config.gpus_per_retriever else "cpu"
        self._retriever = Kept(lambda: open_retriever(config, run, device))
        self._waiting: list[_Waiting] = []
        self._answering: asyncio.Task[None] | None = None

    async def ready(self) -> bool:
        """Answers once the model and the index are loaded."""
        self._retriever.get()
        return True

    async def retrieve(self, query: Query) -> list[ContextDocument]:
        """Documents for one query; see `Retriever.retrieve`."""
        answer: asyncio.Future[list[ContextDocument]] = asyncio.get_running_loop().create_future()
        self._waiting.append((query, answer))
        if self._answering is None or self._answering.done():
            self._answering = asyncio.create_task(self._answer_all())
        return await answer

    async def _answer_all(self) -> None:
        """Answer until nothing waits. While a batch is in its thread, the next one gathers."""
        while self._waiting:
            await asyncio.sleep(GATHER_SEC)
            batch, self._waiting = self._waiting[:MAX_BATCH_QUERIES], self._waiting[MAX_BATCH_QUERIES:]
            try:
                found = await asyncio.to_thread(self._retriever.get().retrieve, [query for query, _ in batch])
            except Exception as error:
                for _, answer in batch:
                    if not answer.done():
                        answer.set_exception(error)
                continue
            for (_, answer), documents in zip(batch, found, strict=True):
                if not answer.done():
                    answer.set_result(documents)


class RetrieverPool:
    """Client of the retriever actors. Picklable: other actors get it as an argument."""

    def __init__(self, handles: Sequence[ActorHandle[Any]]) -> None:
        self._handles = list(handles)

    async def retrieve(self, query: Query, key: str) -> list[ContextDocument]:
        """Query the actor that `key` maps to. If it dies meanwhile, Ray restarts it and the query is repeated."""
        handle = self._handles[zlib.crc32(key.encode()) % len(self._handles)]
        documents: list[ContextDocument] = await handle.retrieve.remote(query)
        return documents


def start_retrievers(config: Config, run: Run) -> list[ActorHandle[Any]]:
    """Start `retrieval.num_retrievers` actors and wait until they answer. They live as long as the handles are kept.

    Raises:
        UserError: A node can't load the model.
    """
    retrieval = config.retrieval
    actor = ray.remote(RetrieverActor).options(
        num_cpus=retrieval.cpus_per_retriever,
        num_gpus=retrieval.gpus_per_retriever,
        label_selector=retrieval.node_labels,
        max_restarts=-1,
        max_task_retries=-1,
    )
    handles = [actor.remote(retrieval, run) for _ in range(retrieval.num_retrievers)]
    with users_faults():
        ray.get([handle.ready.remote() for handle in handles])
    return handles
