"""Does the probe choose the RoPE that finds most? Its choice beside the same candidates asked other needles.

python -m benchmarks.probe [--lengths 10240 12288 16384] [--haystacks N] [--journal FILE] [--out FILE]

SmolLM2-135M-Instruct reads 8,192 tokens. For each longer length all candidates are read untrained, as `rope_theta:
search` does it, and the best by its criterion is chosen. Then every candidate is asked again: other needles, in other
haystacks. The figure is what the chosen one finds of them, over what the best candidate finds. Each reading is written
to the journal at once, and a second call goes on after the last one.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.config import EvaluateConfig, ProbeConfig
from app.models.places import resolve_model
from app.models.rope import max_tokens_of, model_rope
from app.probing.candidates import candidates_of
from app.probing.criterion import best_of
from app.probing.lines import describe_reading
from app.probing.tasks import ReadingTask, read_task
from app.records.probe import ReadingRecord
from benchmarks.record import ROOT, describe_machine, say, write_result

MODEL = "bundled:smollm2-135m-instruct"
RESULT = ROOT / "benchmarks" / "results" / "probe.json"
JOURNAL = ROOT / "benchmarks" / "results" / "probe.jsonl"
LENGTHS = (10_240, 12_288, 16_384)
SEEDS = {"choice": 1, "check": 2}
"""Of the needles that the probe chooses by, and of those that its choice is checked with."""


def tasks_of(length: int, num_haystacks: int) -> list[tuple[str, ReadingTask]]:
    """All readings of a length: first those that the choice is made by, then those that check it."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(resolve_model(MODEL))
    own = max_tokens_of(config)
    return [
        (
            purpose,
            ReadingTask(
                name=candidate.name,
                weights=MODEL,
                weights_identity=MODEL,
                model=MODEL,
                revision=None,
                rope_parameters=candidate.parameters,
                length_tokens=length,
                old_tokens=own,
                evaluate=EvaluateConfig(),
                probe=ProbeConfig(num_haystacks=num_haystacks),
                seed=seed,
            ),
        )
        for purpose, seed in SEEDS.items()
        for candidate in candidates_of(config, model_rope(config), own, length)
    ]


def read_missing(lengths: Sequence[int], num_haystacks: int, journal: Path) -> dict[str, ReadingRecord]:
    """File name of a task → its record, of all tasks; what the journal lacks is read now."""
    known = {}
    if journal.exists():
        lines = [json.loads(line) for line in journal.read_text("utf-8").splitlines()]
        known = {line["task"]: ReadingRecord.model_validate(line["reading"]) for line in lines}
    for purpose, task in (each for length in lengths for each in tasks_of(length, num_haystacks)):
        if task.file_name in known:
            continue
        record = known[task.file_name] = read_task(task)
        line = {"task": task.file_name, "purpose": purpose, "reading": record.values()}
        with journal.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
        say(f"{purpose}: {describe_reading(record)}, {record.seconds:.0f} s")
    return known


def compare(length: int, num_haystacks: int, known: dict[str, ReadingRecord]) -> dict[str, Any]:
    """The probe's choice at a length, and what all candidates find of the check's needles."""
    found: dict[str, list[ReadingRecord]] = {purpose: [] for purpose in SEEDS}
    for purpose, task in tasks_of(length, num_haystacks):
        found[purpose].append(known[task.file_name])
    chosen = best_of(found["choice"]).name
    checked = {reading.name: reading.num_found for reading in found["check"]}
    return {
        "chosen": chosen,
        "num_found_by_chosen": checked[chosen],
        "best": max(checked, key=lambda name: checked[name]),
        "num_found_by_best": max(checked.values()),
        "num_asked": found["check"][0].num_asked,
        "candidates": {
            reading.name: {
                "rope_parameters": reading.rope_parameters,
                "num_found_for_choice": reading.num_found,
                "loss_beyond": reading.loss_beyond,
                "num_found_in_check": checked[reading.name],
                "seconds": reading.seconds,
            }
            for reading in found["choice"]
        },
    }


def measure(arguments: argparse.Namespace) -> None:
    """Read what is missing, and write the result."""
    machine = describe_machine()
    known = read_missing(arguments.lengths, arguments.haystacks, arguments.journal)
    measured = {str(length): compare(length, arguments.haystacks, known) for length in arguments.lengths}
    chosen = sum(each["num_found_by_chosen"] for each in measured.values())
    best = sum(each["num_found_by_best"] for each in measured.values())
    if not best:
        raise RuntimeError(
            "no candidate finds any needle of the check; raise --haystacks or give shorter --lengths"
        )
    figures = {
        "chosen_over_best": chosen / best,
        **{
            f"chosen_over_best_{length}": each["num_found_by_chosen"] / max(each["num_found_by_best"], 1)
            for length, each in measured.items()
        },
    }
    settings = {"model": MODEL, "lengths": list(arguments.lengths), "haystacks": arguments.haystacks}
    noise = {"what": "not repeated; a candidate's share of n needles is off by about sqrt(p (1 - p) / n)"}
    write_result(arguments.out, machine, figures, settings, measured, noise)
    for length, each in measured.items():
        best_of_length = f"the best, {each['best']}, {each['num_found_by_best']} of {each['num_asked']}"
        say(f"{length}: {each['chosen']} finds {each['num_found_by_chosen']}; {best_of_length}")
    say(f"chosen over best: {figures['chosen_over_best']:.2f}; written: {arguments.out}")


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.probe", description=__doc__)
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS)
    parser.add_argument("--haystacks", type=int, default=2, help="texts a candidate, of ten needles each")
    parser.add_argument(
        "--journal", type=Path, default=JOURNAL, help="JSONL file with a line for each reading"
    )
    parser.add_argument("--out", type=Path, default=RESULT, help="JSON file")
    measure(parser.parse_args())


if __name__ == "__main__":
    main()
