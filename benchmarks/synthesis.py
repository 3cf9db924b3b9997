"""How fast and how frugal a synthesis is, side by side with what else could have been done, in one run.

python -m benchmarks.synthesis [--rows N] [--repeats 2] [--out benchmarks/results/synthesis.json]

The laptop recipe's real job runs and keeps its journal. Then its very calls, each with as many tokens as it had, go
through a bare engine all at once, through chained `ray.data.llm` processors, and row by row. A rate is output tokens
from the moment the engines are up to the last answer. A result that is to be kept wants `--repeats 2`: without it no
noise is known.

With `--engine-core` all engines of a variant compute on that core, and nothing else does, as with one GPU. Without it
they share all cores with their hosts' processes, and the four engines of the chained processors with each other.
"""

import argparse
import gzip
import json
import shutil
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from benchmarks.driver_memory import measure_driver_memory
from benchmarks.record import ROOT, describe_machine, run_measured, say, scratch_folder, spread, write_result
from benchmarks.reserved_core import reserved_core
from benchmarks.synthesis_calls import (
    Work,
    engine_ready_at,
    prefix_cache_share,
    read_calls,
    read_config,
    work_of_job,
)

RECIPE = "laptop.yaml"
NUM_SOURCE_DOCUMENTS = 40
CHARS_PER_DOCUMENT = 6000
RESULT = ROOT / "benchmarks" / "results" / "synthesis.json"


@dataclass(frozen=True)
class Pair:
    """The job, and a bare engine with the job's calls, measured one after the other."""

    run_dir: Path
    job: Work
    bare: Work
    facts: dict[str, Any]

    @property
    def efficiency(self) -> float:
        return self.job.tokens_per_sec / self.bare.tokens_per_sec


def write_sources(path: Path) -> None:
    """The beginnings of some documents of the bundled sample: embedding all of it would take most of the time."""
    sample = resources.files("app.models.bundled") / "data" / "public_domain_sample.jsonl.gz"
    lines = gzip.decompress(sample.read_bytes()).splitlines()
    stride = len(lines) // NUM_SOURCE_DOCUMENTS
    texts = [json.loads(line)["text"][:CHARS_PER_DOCUMENT] for line in lines[::stride][:NUM_SOURCE_DOCUMENTS]]
    path.write_text("\n".join(json.dumps({"text": text}) for text in texts), "utf-8")


def job_arguments(run_dir: Path, sources: Path, num_rows: int, ray_temp_dir: str) -> list[str]:
    """Command line of the measured job; all else is the recipe's."""
    settings: dict[str, Any] = {
        "run_dir": str(run_dir),
        "corpus.sources.0.path": str(sources),
        "dataset.num_long_input_seeds": num_rows,
        "dataset.num_long_output_seeds": 0,
        "dataset.keep_calls": True,
        "ray.temp_dir": ray_temp_dir,
    }
    arguments = ["--config", RECIPE]
    for name, value in settings.items():
        arguments += [f"--{name}", json.dumps(value)]
    return arguments


class Measurement:
    """All parts, in a folder of their own.

    Args:
        folder: Takes corpora, runs and logs.
        num_rows: Seeds of the measured job.
    """

    def __init__(self, folder: Path, num_rows: int) -> None:
        self._folder = folder
        self._num_rows = num_rows
        # Ray starts its workers, and so their engines, at a lower priority than a bare engine has.
        self._environment = {"RAY_worker_niceness": "0"}
        self._sources = folder / "sources.jsonl"
        self._ray_temp_dir = str(folder / "ray")

    def prepare(self) -> None:
        """Corpus and index, which the measured jobs share."""
        say(f"corpus and index of {NUM_SOURCE_DOCUMENTS} documents")
        write_sources(self._sources)
        self._run_job("index", "base")

    def pair(self, number: int, num_sequential_rows: int) -> Pair:
        """Run the job, then its calls on a bare engine, and row by row when rows are asked for."""
        name = f"run{number}"
        run_dir = self._folder / name
        shutil.copytree(self._folder / "base", run_dir)
        say(f"job {number}: {self._num_rows} rows")
        wall_sec = self._run_job("synthesize", name)
        calls = read_calls(run_dir)
        job = work_of_job(calls)
        facts: dict[str, Any] = {
            "job": asdict(job),
            "job_wall_sec": wall_sec,
            "job_engine_start_sec": engine_ready_at(calls) - calls[0].asked_at_sec,
            "num_calls": len(calls),
            "num_prompt_tokens": sum(call.num_prompt_tokens for call in calls),
            "prefix_cache_share": prefix_cache_share(calls),
        }
        say(
            f"job {number}: {job.tokens_per_sec:.1f} output tokens/s; now its {len(calls)} calls on a bare engine"
        )
        result = run_dir / "engine.json"
        arguments = [str(run_dir), str(result), "--sequential-rows", str(num_sequential_rows)]
        self._run("benchmarks.synthesis_engine", arguments, f"engine{number}")
        facts |= json.loads(result.read_text("utf-8"))
        bare = Work(**facts["bare"])
        say(f"bare engine {number}: {bare.tokens_per_sec:.1f} output tokens/s")
        return Pair(run_dir, job, bare, facts)

    def chained(self, pair: Pair) -> dict[str, Any]:
        """A job's calls through one processor, with one engine, a step."""
        say("the same calls through chained processors")
        result = pair.run_dir / "chained.json"
        arguments = [str(pair.run_dir), str(result), self._ray_temp_dir]
        self._run("benchmarks.synthesis_chained", arguments, "chained")
        measured: dict[str, Any] = json.loads(result.read_text("utf-8"))
        return measured

    def driver_memory(self, num_documents: int) -> dict[str, Any]:
        """The driver's peak with corpora of three sizes."""
        folder = self._folder / "memory"
        folder.mkdir()
        return measure_driver_memory(folder, num_documents, self._ray_temp_dir)

    def _run_job(self, verb: str, name: str) -> float:
        arguments = job_arguments(self._folder / name, self._sources, self._num_rows, self._ray_temp_dir)
        return self._run(f"ray_jobs.{verb}", arguments, f"{name}-{verb}")

    def _run(self, module: str, arguments: list[str], name: str) -> float:
        return run_measured(module, arguments, self._folder / f"{name}.log", self._environment)


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    """Measure everything and write the result."""
    machine = describe_machine()
    measurement = Measurement(folder, arguments.rows)
    measurement.prepare()
    with reserved_core(arguments.engine_core):
        pairs = [
            measurement.pair(number, arguments.sequential_rows if number == 1 else 0)
            for number in range(1, arguments.repeats + 1)
        ]
        chained = measurement.chained(pairs[0])
    memory = measurement.driver_memory(arguments.documents)

    job_rate = sum(pair.job.tokens_per_sec for pair in pairs) / len(pairs)
    sequential = Work(**pairs[0].facts["sequential"])
    figures = {
        "engine_efficiency": sum(pair.efficiency for pair in pairs) / len(pairs),
        "speedup_over_chained_processors": job_rate / Work(**chained["chained"]).tokens_per_sec,
        "speedup_over_sequential": job_rate / sequential.tokens_per_sec,
        "driver_memory_growth_16x": memory["peak_bytes"][-1] / memory["peak_bytes"][0],
        "prefix_cache_share": sum(pair.facts["prefix_cache_share"] for pair in pairs) / len(pairs),
    }
    config = read_config(pairs[0].run_dir)
    settings = {
        "rows": arguments.rows,
        "repeats": arguments.repeats,
        "sequential_rows": arguments.sequential_rows,
        "engine_core": arguments.engine_core,
        "recipe": RECIPE,
        "generator": config.generator.model_dump(),
        "agent": config.agent.model_dump(exclude={"task_weights"}),
        "pipeline": config.pipeline.model_dump(),
    }
    measured = {"pairs": [pair.facts for pair in pairs], "chained": chained, "driver_memory": memory}
    noise = noise_of(pairs)
    write_result(arguments.out, machine, figures, settings, measured, noise)
    for name, value in figures.items():
        say(f"{name}: {value:.3f}")
    say(f"written: {arguments.out}")


def noise_of(pairs: list[Pair]) -> dict[str, Any]:
    """How far the repeats lie apart; a single one says nothing."""
    if len(pairs) < 2:
        return {"what": "not known: measured once"}
    return {
        "what": "distance of the lowest from the highest of the repeats, as a share of their mean",
        "job_tokens_per_sec": spread([pair.job.tokens_per_sec for pair in pairs]),
        "bare_tokens_per_sec": spread([pair.bare.tokens_per_sec for pair in pairs]),
        "engine_efficiency": spread([pair.efficiency for pair in pairs]),
        "prefix_cache_share": spread([pair.facts["prefix_cache_share"] for pair in pairs]),
    }


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.synthesis", description=__doc__)
    parser.add_argument("--rows", type=int, default=24, help="seeds of the measured job")
    parser.add_argument("--repeats", type=int, default=1, help="measurements of the job and the bare engine")
    parser.add_argument("--sequential-rows", type=int, default=5, help="rows measured one after the other")
    parser.add_argument(
        "--documents", type=int, default=1000, help="documents of the 1x corpus of the memory part"
    )
    parser.add_argument("--engine-core", type=int, help="core for a variant's engines alone")
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    with scratch_folder("lsb") as folder:
        measure(arguments, folder)


if __name__ == "__main__":
    main()
