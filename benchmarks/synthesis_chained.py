"""The rival with an engine a step: the workflow as chained `ray.data.llm` processors.

python -m benchmarks.synthesis_chained RUN_DIR RESULT RAY_TEMP_DIR

It is given every advantage that does not change what it is: no retrieval, no journal, prompts tokenized beforehand,
a row's retries side by side, all engines up before the first row moves.
"""

import argparse
import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray
from ray.data import DataContext
from ray.data.llm import build_processor, vLLMEngineProcessorConfig

from app.config import Config, VllmConfig
from app.models.places import resolve_model
from benchmarks.synthesis_calls import (
    STEPS,
    RecordedCall,
    Work,
    group_rows,
    read_calls,
    read_config,
    sampling_of,
    tokenize_prompts,
)

Row = dict[str, Any]

KV_CACHE_GIB = 1
"""Of each engine: room for the 32 sequences that run at once, and four engines' worth still fits a laptop."""
ROWS_PER_BATCH, BATCHES_IN_FLIGHT = 8, 8
"""Of each engine: batches so small that rows stream on, and twice as many calls as it has sequences."""
_START_TIMEOUT_SEC = 600
_NUM_CPUS = 8


def plan_rows(config: Config, calls: Sequence[RecordedCall]) -> list[Row]:
    """One row a seed. `rest` is the work still to be done, in JSON, as its shape differs from step to step."""
    prompts = dict(zip(calls, tokenize_prompts(calls, config), strict=True))
    rows = []
    for row in group_rows(calls):
        rest: dict[str, list[Row]] = {}
        for call in row:
            task = {"prompt": prompts[call], "sampling": sampling_of(config, call)}
            rest.setdefault(call.step, []).append(task)
        rows.append({"seed_id": row[0].seed_id, "rest": json.dumps(rest), "started_at_sec": 0.0})
    return rows


def spread_step(row: Row, step: str) -> list[Row]:
    """A row → one row for each of its calls of a step; the last of them takes the rest of the work along.

    A row that is through disappears. One that needs no call here but has further steps asks for a single token, as
    processors let no row past; that token is not counted.
    """
    rest = json.loads(row["rest"]) if row["rest"] else {}
    if not rest:
        return []
    nothing = {"prompt": [1], "sampling": {"max_tokens": 1, "ignore_eos": True}}
    tasks = rest.pop(step, [nothing])
    started_at_sec = row["started_at_sec"] or time.time()
    return [
        {
            "seed_id": row["seed_id"],
            "rest": json.dumps(rest) if rest and position == len(tasks) else "",
            "started_at_sec": started_at_sec,
            "task": json.dumps(task),
        }
        for position, task in enumerate(tasks, 1)
    ]


def regroup(calls: pa.Table) -> pa.Table:
    """The finished calls of one seed → its row again: the one that took the rest of the work along."""
    return calls.sort_by([("rest", "descending")]).slice(0, 1)


def read_task(row: Row) -> Row:
    """What the engine stage wants to have."""
    task = json.loads(row["task"])
    return {"tokenized_prompt": task["prompt"], "sampling_params": task["sampling"]}


def finish_call(row: Row) -> Row:
    """What goes on to the next step."""
    expected = json.loads(row["task"])["sampling"]["max_tokens"]
    assert row["num_generated_tokens"] == expected, f"{row['num_generated_tokens']} tokens, not {expected}"
    kept = {name: row[name] for name in ("seed_id", "rest", "started_at_sec")}
    return kept | {"finished_at_sec": time.time()}


def make_processor(config: Config) -> Callable[[ray.data.Dataset], ray.data.Dataset]:
    """One step's processor around an engine with the job's settings."""
    generator = config.generator
    assert isinstance(generator, VllmConfig)
    environment = {
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": str(generator.cpu_threads),
        "VLLM_CPU_KVCACHE_SPACE": str(KV_CACHE_GIB),
        "VLLM_LOGGING_LEVEL": "WARNING",
        "VLLM_NO_USAGE_STATS": "1",
    }
    settings = vLLMEngineProcessorConfig(
        model_source=resolve_model(generator.model),
        engine_kwargs={
            "dtype": generator.dtype,
            "max_model_len": generator.max_model_tokens,
            "tensor_parallel_size": generator.tensor_parallel_size,
            "disable_log_stats": True,
            "distributed_executor_backend": "uni",
            **generator.engine_args,
        },
        batch_size=ROWS_PER_BATCH,
        max_concurrent_batches=BATCHES_IN_FLIGHT,
        runtime_env={"env_vars": environment},
        placement_group_config={"bundles": [{"CPU": 1, "GPU": 0}]},
        accelerator_type=None,
        concurrency=1,
        log_engine_metrics=False,
        chat_template_stage=False,
        tokenize_stage=False,
        detokenize_stage=False,
    )
    return build_processor(settings, preprocess=read_task, postprocess=finish_call)


def chain_steps(config: Config, rows: list[Row]) -> ray.data.Dataset:
    """The workflow: four processors, one after the other."""
    dataset = ray.data.from_items(rows, override_num_blocks=-(-len(rows) // ROWS_PER_BATCH))
    for step in STEPS:
        dataset = dataset.flat_map(lambda row, step=step: spread_step(row, step))
        dataset = make_processor(config)(dataset)
        if step == "summary":
            dataset = dataset.groupby("seed_id", num_partitions=1).map_groups(regroup, batch_format="pyarrow")
    return dataset


def measure(config: Config, calls: list[RecordedCall], ray_temp_dir: str) -> dict[str, Any]:
    """Time the calls from the moment the first row moves: Ray Data lets none move before all engines are up."""
    rows = plan_rows(config, calls)
    ray.init(
        address="local",
        num_cpus=_NUM_CPUS,
        object_store_memory=512_000_000,
        _temp_dir=ray_temp_dir,
        include_dashboard=False,
        logging_level=logging.ERROR,
        log_to_driver=False,
    )
    try:
        context = DataContext.get_current()
        context.enable_progress_bars = False
        context.wait_for_min_actors_s = _START_TIMEOUT_SEC
        called_at_sec = time.time()
        moved = _collect(chain_steps(config, rows).iter_rows())
    finally:
        ray.shutdown()
    started, finished = (max(values) if last else min(values) for last, values in enumerate(moved))
    work = Work(sum(call.num_output_tokens for call in calls), finished - started)
    return {"chained": asdict(work), "engines_start_sec": started - called_at_sec, "num_engines": len(STEPS)}


def _collect(rows: Iterable[Row]) -> tuple[list[float], list[float]]:
    """When the rows that came out had gone in, and when their answers were there."""

    def pairs() -> Iterator[tuple[float, float]]:
        for row in rows:
            yield row["started_at_sec"], row["finished_at_sec"]

    started, finished = zip(*pairs(), strict=True)
    return list(started), list(finished)


def main() -> None:
    """Measure a run's calls and write the result."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.synthesis_chained", description=__doc__)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("ray_temp_dir")
    arguments = parser.parse_args()
    config, calls = read_config(arguments.run_dir), read_calls(arguments.run_dir)
    arguments.result.write_text(json.dumps(measure(config, calls, arguments.ray_temp_dir)), "utf-8")


if __name__ == "__main__":
    main()
