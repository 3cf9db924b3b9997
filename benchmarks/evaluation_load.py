"""Requests to a server: plainly, through the evaluation's own runner, and one at a time to the first token."""

import asyncio
import json
import time
from collections.abc import Sequence

import httpx

from app.config import EvaluateConfig
from app.storage import Folder
from eval.client import EvaluationClient
from eval.records import Record, RecordStore
from eval.runner import Runner
from eval.samples import Sample

TIMEOUT_SEC = 600.0


def plain_sec(url: str, model: str, samples: Sequence[Sample], num_concurrent: int) -> float:
    """Seconds that all samples take with nothing but an HTTP client: what the server can do.

    Raises:
        RuntimeError: One was not answered.
    """

    async def run() -> float:
        slots = asyncio.Semaphore(num_concurrent)
        limits = httpx.Limits(max_connections=num_concurrent)
        async with httpx.AsyncClient(timeout=TIMEOUT_SEC, limits=limits) as client:

            async def ask(sample: Sample) -> None:
                body = _body(model, sample)
                async with slots:
                    reply = await client.post(f"{url}/completions", json=body)
                if reply.status_code != 200:
                    raise RuntimeError(f"HTTP {reply.status_code}: {reply.text[:300]}")

            started = time.perf_counter()
            await asyncio.gather(*(ask(sample) for sample in samples))
            return time.perf_counter() - started

    return asyncio.run(run())


def runner_sec(url: str, model: str, samples: Sequence[Sample], num_concurrent: int, folder: Folder) -> float:
    """Seconds that the evaluation takes for them, records on disk included.

    Raises:
        RuntimeError: One was not answered.
    """
    started = time.perf_counter()
    runner_records(url, model, samples, num_concurrent, folder)
    return time.perf_counter() - started


def runner_records(
    url: str, model: str, samples: Sequence[Sample], num_concurrent: int, folder: Folder
) -> list[Record]:
    """What the evaluation's runner has of them.

    Raises:
        RuntimeError: One was not answered.
    """

    async def run() -> RecordStore:
        client = EvaluationClient(EvaluateConfig(), url, None, model)
        store = RecordStore(folder)
        runner = Runner(client, store, num_concurrent, lambda line: None, 3600.0, "benchmark")
        try:
            await runner.ask_all(iter(samples), len(samples))
        finally:
            await client.close()
        return store

    store = asyncio.run(run())
    records = [store[sample.sample_id] for sample in samples]
    for record in records:
        if record.reply is None:
            raise RuntimeError(f"{record.sample_id} was not answered: {record.error}")
    return records


def first_token_sec(url: str, model: str, samples: Sequence[Sample]) -> list[float]:
    """Seconds to the first streamed token of each sample, one request at a time."""
    found = []
    with httpx.Client(timeout=TIMEOUT_SEC) as client:
        for sample in samples:
            body = {**_body(model, sample), "stream": True, "max_tokens": 2}
            first_sec = 0.0
            started = time.perf_counter()
            with client.stream("POST", f"{url}/completions", json=body) as reply:
                reply.raise_for_status()
                for line in reply.iter_lines():
                    if not first_sec and line.startswith("data: {") and json.loads(line[6:])["choices"]:
                        first_sec = time.perf_counter() - started
            assert first_sec, "a stream has a token"
            found.append(first_sec)
    return found


def _body(model: str, sample: Sample) -> dict[str, object]:
    return {
        "model": model,
        "prompt": sample.token_ids.tolist(),
        "max_tokens": sample.max_output_tokens,
        "temperature": 0.0,
    }
