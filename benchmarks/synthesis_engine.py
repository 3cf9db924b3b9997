"""Rivals on a bare vLLM engine: all recorded calls at once, and one row after the other.

python -m benchmarks.synthesis_engine RUN_DIR RESULT [--sequential-rows N]
"""

import argparse
import asyncio
import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from app.agent.vllm_generator import start_engine
from app.config import Config, VllmConfig
from benchmarks.synthesis_calls import (
    RecordedCall,
    Work,
    group_chains,
    group_rows,
    read_calls,
    read_config,
    sampling_of,
    tokenize_prompts,
)


class Replay:
    """Recorded calls put to an engine again."""

    def __init__(self, engine: Any, config: Config, calls: Sequence[RecordedCall]) -> None:
        self._engine = engine
        self._config = config
        # Before any clock runs: a bare engine is given tokens.
        self._prompts = dict(zip(calls, tokenize_prompts(calls, config), strict=True))
        self.num_cached_tokens = 0

    async def call(self, call: RecordedCall) -> None:
        """Generate what the call recorded, to the token."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        params = SamplingParams(**sampling_of(self._config, call), output_kind=RequestOutputKind.FINAL_ONLY)
        final = None
        prompt = {"prompt_token_ids": self._prompts[call]}
        async for output in self._engine.generate(prompt, params, uuid.uuid4().hex):
            final = output
        assert final is not None
        assert len(final.outputs[0].token_ids) == call.num_output_tokens
        self.num_cached_tokens += final.num_cached_tokens or 0

    async def chain(self, calls: Sequence[RecordedCall]) -> None:
        """A call and its retries, one after the other."""
        for call in calls:
            await self.call(call)

    async def row(self, row: Sequence[RecordedCall]) -> None:
        """One row's calls as its workflow asked them: its summaries are side by side."""
        for chains in group_chains(row):
            await asyncio.gather(*(self.chain(chain) for chain in chains))


def every_nth(rows: list[list[RecordedCall]], count: int) -> list[list[RecordedCall]]:
    """`count` rows that went all the way, from everywhere in the run."""
    whole = [row for row in rows if row[-1].step == "answer"] or rows
    stride = max(1, len(whole) // count)
    return whole[::stride][:count]


async def measure(config: Config, calls: list[RecordedCall], num_sequential_rows: int) -> dict[str, Any]:
    """Time both rivals on one engine, each with an empty prefix cache at its start."""
    assert isinstance(config.generator, VllmConfig)
    started = time.perf_counter()
    engine = start_engine(config.generator)
    start_sec = time.perf_counter() - started
    try:
        replay = Replay(engine, config, calls)
        started = time.perf_counter()
        await asyncio.gather(*(replay.call(call) for call in calls))
        bare = Work(sum(call.num_output_tokens for call in calls), time.perf_counter() - started)
        cached_share = replay.num_cached_tokens / sum(call.num_prompt_tokens for call in calls)
        result: dict[str, Any] = {"engine_start_sec": start_sec, "bare_prefix_cache_share": cached_share}
        result["bare"] = asdict(bare)
        if num_sequential_rows:
            assert await engine.reset_prefix_cache()
            rows = every_nth(group_rows(calls), num_sequential_rows)
            started = time.perf_counter()
            for row in rows:
                await replay.row(row)
            num_tokens = sum(call.num_output_tokens for row in rows for call in row)
            result["sequential"] = asdict(Work(num_tokens, time.perf_counter() - started))
            result["sequential_rows"] = len(rows)
    finally:
        engine.shutdown()
    return result


def main() -> None:
    """Measure a run's calls and write the result."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.synthesis_engine", description=__doc__)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("--sequential-rows", type=int, default=0)
    arguments = parser.parse_args()
    config, calls = read_config(arguments.run_dir), read_calls(arguments.run_dir)
    measured = asyncio.run(measure(config, calls, arguments.sequential_rows))
    arguments.result.write_text(json.dumps(measured), "utf-8")


if __name__ == "__main__":
    main()
