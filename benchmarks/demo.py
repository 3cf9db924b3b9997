"""What a finished demo shows: needles of the base and of the extended model at the same lengths, examples, minutes.

python -m benchmarks.demo RUN --minutes M [--out FILE]

RUN is the folder of a finished run of `make demo`; nothing is started. M are the minutes of the whole command, which
the run's folder does not know: the installation comes before it.
"""

import argparse
import csv
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.recipe import load_config
from benchmarks.record import ROOT, describe_machine, say, write_result

RESULT = ROOT / "benchmarks" / "results" / "demo.json"


def read_needles(run: Path) -> dict[str, dict[int, list[float]]]:
    """Model → length in tokens → score of each depth in percent; models in the order of the report, the base first."""
    needles: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    with (run / "eval/report/niah.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            needles[row["model"]][int(row["length_tokens"])].append(float(row["score_percent"]))
    return {model: dict(lengths) for model, lengths in needles.items()}


def figures_of(needles: dict[str, dict[int, list[float]]], minutes: float) -> dict[str, float]:
    """Needles of the first and of the last model, at the longest length and at the shortest, and the minutes."""
    first, *_, last = needles.values()
    figures = {"minutes": minutes}
    for ending, length in (("", max(last)), ("_short", min(last))):
        for name, model in (("extended", last), ("base", first)):
            figures[f"needles_{name}_percent{ending}"] = sum(model[length]) / len(model[length])
    return figures


def read_examples(run: Path) -> dict[str, Any]:
    """Counts of the dataset: examples by kind, rejects by reason, calls."""
    found = json.loads((run / "dataset/statistics.json").read_text("utf-8"))
    return {
        "examples": {kind: counts["num_examples"] for kind, counts in found["kinds"].items()},
        "rejects": {f"{row['step']}: {row['reason']}": row["num_rejects"] for row in found["rejects"]},
        "calls": sum(counts["num_calls"] for counts in found["calls"].values()),
    }


def read_steps(run: Path) -> list[dict[str, Any]]:
    """Loss and duration of each training step."""
    return [
        {name: row.get(name) for name in ("step", "loss", "step_sec")}
        for path in sorted((run / "train").glob("*/metrics.jsonl"))
        for row in map(json.loads, path.read_text("utf-8").splitlines())
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the run and write the result."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo")
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a finished run of make demo")
    parser.add_argument("--minutes", type=float, required=True, help="from `make demo` to its end")
    parser.add_argument("--out", type=Path, default=RESULT)
    given = parser.parse_args(arguments)
    config = load_config("laptop")
    assert config.train is not None
    assert config.evaluate is not None
    stage, needles = config.train.stages[-1], read_needles(given.run)
    write_result(
        given.out,
        describe_machine(),
        figures_of(needles, given.minutes),
        settings={
            "recipe": "laptop.yaml",
            "lengths_tokens": config.evaluate.niah.lengths_tokens,
            "depths_percent": config.evaluate.niah.depths_percent,
            "rope_theta": stage.rope_theta,
            "steps": stage.num_steps,
            "batch_tokens": stage.batch_tokens,
        },
        measured={"needles": needles, "dataset": read_examples(given.run), "steps": read_steps(given.run)},
        noise={"one needle, percent": 100 / len(config.evaluate.niah.depths_percent)},
    )
    say(f"written to {given.out}")


if __name__ == "__main__":
    main()
