"""Seconds that a RULER sample takes, of each task and length, and the reference generator's beside them in one run.

python -m benchmarks.evaluation_ruler [--reference NVIDIA_RULER] [--reference-python PYTHON]

The reference needs transformers, nltk with its punkt data, wonderwords, tenacity and tqdm in an environment of its own
(PYTHONPATH and NLTK_DATA are handed on to it), and PaulGrahamEssays.json in its scripts/data/synthetic/json.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.config import EvaluateConfig, RulerConfig, cache_dir
from app.models.bundled import prepare_ruler_text, prepare_ruler_words
from app.models.places import resolve_model
from app.tokens import Tokenizer
from benchmarks.record import say
from eval.ruler.definitions import TASKS
from eval.ruler.maker import RulerMaker
from eval.samples import Slot

MODEL = "bundled:smollm2-135m-instruct"
K = 1024
LENGTHS_TOKENS = (4 * K, 128 * K, 1024 * K)
COMPARED_TASK = "niah_single_2"
MIN_SEC = 1.0
MIN_SAMPLES = 3
MAX_SAMPLES = 50
_RATE = re.compile(r"([\d.]+)(s/it|it/s)")


@dataclass(frozen=True)
class RulerSeconds:
    """What was measured."""

    per_sample: dict[str, dict[int, float]]
    """Task → length in tokens → seconds of a sample; not of the first, which tokenizes the haystack."""
    first_sample: dict[str, dict[int, float]]
    """The same, of each task's first sample at a length, in this order."""
    reference: float | None
    """Of a `COMPARED_TASK` sample of 128k tokens, by the reference."""

    @property
    def figures(self) -> dict[str, float]:
        """What is claimed."""
        ratios = [sec[1024 * K] / sec[128 * K] for sec in self.per_sample.values()]
        figures = {"ruler_1m_over_128k": max(ratios)}
        if self.reference is not None:
            own = self.per_sample[COMPARED_TASK][128 * K]
            figures["ruler_speedup_over_reference_128k"] = self.reference / own
        return figures


def measure_ruler(reference: Path | None, reference_python: str) -> RulerSeconds:
    """Make samples of all tasks and lengths, one after the other in this process, then the reference's.

    Args:
        reference: Checkout of NVIDIA/RULER; None: without it.
        reference_python: Interpreter with what it needs.
    """
    prepare_ruler_text(cache_dir())
    prepare_ruler_words(cache_dir())
    config = EvaluateConfig(template="base", ruler=RulerConfig(lengths_tokens=list(LENGTHS_TOKENS)))
    maker = RulerMaker(config, Tokenizer(MODEL), seed=0)
    per_sample: dict[str, dict[int, float]] = {task: {} for task in TASKS}
    first_sample: dict[str, dict[int, float]] = {task: {} for task in TASKS}
    for length in LENGTHS_TOKENS:
        for task in TASKS:
            first_sample[task][length] = _make(maker, Slot(task, length, 0))
            per_sample[task][length] = _mean_seconds(maker, task, length)
            say(f"{task} {length // K}k: {1000 * per_sample[task][length]:.1f} ms a sample")
    seconds = None
    if reference is not None:
        seconds = measure_reference(reference, reference_python, 128 * K, num_samples=8)
        say(f"reference, {COMPARED_TASK} 128k: {1000 * seconds:.1f} ms a sample")
    return RulerSeconds(per_sample, first_sample, seconds)


def _mean_seconds(maker: RulerMaker, task: str, length: int) -> float:
    seconds: list[float] = []
    while len(seconds) < MIN_SAMPLES or (sum(seconds) < MIN_SEC and len(seconds) < MAX_SAMPLES):
        seconds.append(_make(maker, Slot(task, length, len(seconds) + 1)))
    return sum(seconds) / len(seconds)


def _make(maker: RulerMaker, slot: Slot) -> float:
    started = time.perf_counter()
    sample = maker.make(slot)
    seconds = time.perf_counter() - started
    assert sample.num_tokens <= slot.length_tokens
    return seconds


def measure_reference(checkout: Path, python: str, length_tokens: int, num_samples: int) -> float:
    """Seconds of one of the reference generator's samples, its search for the size not counted.

    Args:
        checkout: Of NVIDIA/RULER.
        python: Interpreter with what it needs.
        length_tokens: Of a sample.
        num_samples: Made in one go; their mean counts.

    Raises:
        RuntimeError: It failed.
    """
    task = TASKS[COMPARED_TASK]
    script = checkout / "scripts" / "data" / "synthetic" / "niah.py"
    # The script itself turns its template's plural into the singular that this task has.
    template = TASKS["niah_multivalue"].template.replace("{type}", "{type_needle_v}")
    prefix = TASKS["niah_multivalue"].answer_prefix.replace("{type}", "{type_needle_v}")
    with tempfile.TemporaryDirectory(prefix="ruler-reference-") as folder:
        arguments = {
            "save_dir": folder,
            "save_name": COMPARED_TASK,
            "tokenizer_type": "hf",
            "tokenizer_path": resolve_model(MODEL),
            "max_seq_length": str(length_tokens),
            "tokens_to_generate": str(task.max_output_tokens),
            "num_samples": str(num_samples),
            "type_haystack": "essay",
            "template": template + prefix,
        }
        command = [
            python,
            str(script),
            *(word for item in arguments.items() for word in (f"--{item[0]}", item[1])),
        ]
        environment = os.environ | {"HF_HUB_OFFLINE": "1"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return _seconds_of_bar(done, num_samples)


def _seconds_of_bar(done: subprocess.CompletedProcess[str], num_samples: int) -> float:
    """The rate at the end of the progress bar, which stands around nothing but the making of samples."""
    ends = [line for line in re.split(r"[\r\n]", done.stderr) if f"{num_samples}/{num_samples} [" in line]
    rate = _RATE.search(ends[-1]) if ends else None
    if done.returncode or rate is None:
        raise RuntimeError(f"the reference generator ended with {done.returncode}:\n{done.stderr[-2000:]}")
    value = float(rate[1])
    return value if rate[2] == "s/it" else 1 / value


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluation_ruler", description=__doc__)
    parser.add_argument("--reference", type=Path, help="checkout of NVIDIA/RULER")
    parser.add_argument("--reference-python", default=sys.executable)
    parsed = parser.parse_args(arguments)
    seconds = measure_ruler(parsed.reference, parsed.reference_python)
    print(json.dumps({"figures": seconds.figures, "per_sample": seconds.per_sample}, indent=2))


if __name__ == "__main__":
    main()
