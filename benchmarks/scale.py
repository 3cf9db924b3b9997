"""How all that the project itself does grows: seconds, bytes and files at several sizes, and the fitted exponents.

python -m benchmarks.scale [--out FILE] [--again PART ...]

Each part runs in a process of its own, on one thread, over the project's own functions and a local disk. What GPUs do
is not measured: `longstrap plan` calculates it. docs/scale.md shows the result; a test compares the two.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.driver_memory import sample_words
from benchmarks.record import ROOT, describe_machine, run_measured, say, scratch_folder, spread, write_result
from benchmarks.scale_slopes import Slope, Slopes

RESULT = ROOT / "benchmarks" / "results" / "scale.json"
PARTS = (
    "corpus",
    "repeats",
    "files",
    "indexes",
    "passages",
    "seeds",
    "journal",
    "assembly",
    "finishing",
    "packing",
    "noise",
)
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "ARROW_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Sizes:
    """What is measured, smallest first."""

    documents: tuple[int, ...] = (400, 1_600, 6_400)
    documents_per_shard: int = 400
    sketches: tuple[int, ...] = (10_000, 40_000, 160_000)
    sketches_per_shard: int = 10_000
    sketch_files: tuple[int, ...] = (4, 16, 64)
    """Of as many documents as the second of `sketches`."""
    input_files: tuple[int, ...] = (1_000, 4_000, 16_000)
    vectors: tuple[int, ...] = (10_000, 40_000, 160_000)
    passages: tuple[int, ...] = (8_000, 32_000, 128_000)
    rows: tuple[int, ...] = (40_000, 160_000, 640_000)
    """Passages without text."""
    row_groups: tuple[int, ...] = (64, 128, 256, 512, 1_024)
    part_passages: int = 56_000
    """Of a part that is read with each of `row_groups`: 20,000 documents of FineWeb-Edu."""
    seeds: tuple[int, ...] = (4_000, 16_000, 64_000)
    journal_rows: tuple[int, ...] = (40, 160, 640)
    targets: tuple[int, ...] = (4_096, 32_768, 262_144, 1_048_576)
    instructions: tuple[int, ...] = (1_000, 4_000, 16_000)
    examples: tuple[int, ...] = (500, 2_000, 8_000)
    stage_tokens: tuple[int, ...] = (2**26, 2**28, 2**30, 2**32)


def measure_part(part: str, folder: Path, sizes: Sizes) -> dict[str, Slopes]:
    """Slopes of one part, in groups.

    Args:
        part: One of `PARTS`.
        folder: Takes what is written meanwhile.
        sizes: How much to measure.
    """
    from benchmarks import scale_corpus, scale_dataset, scale_index, scale_packing, scale_passages

    words = np.array(sample_words())
    match part:
        case "corpus":
            found = scale_corpus.measure_corpus(folder, sizes.documents, sizes.documents_per_shard)
        case "repeats":
            found = scale_corpus.measure_repeats(folder, sizes.sketches, sizes.sketches_per_shard)
            found |= scale_corpus.measure_sketch_files(folder, sizes.sketches[1], sizes.sketch_files)
        case "files":
            found = scale_corpus.measure_input_files(folder, sizes.input_files)
        case "indexes":
            return scale_index.measure_indexes(folder, sizes.vectors)
        case "passages":
            found = scale_passages.measure_passages(folder, sizes.passages, words)
            found |= scale_passages.measure_row_files(folder, sizes.rows, words)
            found |= scale_passages.measure_row_groups(folder, sizes.part_passages, words, sizes.row_groups)
        case "seeds":
            found = scale_passages.measure_seeds(sizes.seeds)
        case "journal":
            found = scale_dataset.measure_journal(folder, sizes.journal_rows)
        case "assembly":
            found = scale_dataset.measure_assembly(sizes.targets, words)
        case "finishing":
            found = scale_dataset.measure_filters(sizes.instructions, words)
            found |= scale_dataset.measure_finishing(folder, sizes.examples, words)
        case "packing":
            found = scale_packing.measure_packing(sizes.stage_tokens)
        case _:
            # One size three times.
            found = scale_packing.measure_packing(sizes.stage_tokens[:1] * 3)
    return {part: found}


def figures_of(slopes: dict[str, Slopes]) -> dict[str, float]:
    """What is claimed: costs of a unit, and how the steps that should be linear or cheaper grow."""

    def slope(group: str, name: str) -> Slope:
        return slopes[group][name]

    def per_unit(group: str, name: str) -> float:
        return slope(group, name).per_unit

    corpus = [slope("corpus", name) for name in ("read", "find_repeats", "cut")]
    return {
        "corpus_documents_per_cpu_sec": 1 / sum(each.per_unit for each in corpus),
        "corpus_tokens_per_cpu_sec": per_unit("corpus", "tokens") / sum(each.per_unit for each in corpus),
        "flat_query_sec_per_million_vectors": 1e6 * per_unit("Flat", "query"),
        "inverted_query_exponent": slope("IVF,Flat", "query").exponent,
        "pq64_bytes_per_vector": per_unit("IVF,PQ64np", "file"),
        "read_passages_sec": slope("passages", "read_passages").values[-1],
        "assembly_sec_per_million_tokens": 1e6 * per_unit("assembly", "assembly"),
        "finishing_bytes_per_example": per_unit("finishing", "similar_instructions_memory"),
        "packing_sec_per_billion_tokens": 1e9 * per_unit("packing", "packing"),
        "largest_exponent": max(
            each.exponent for group in slopes.values() for each in group.values() if each.unit == "sec"
        ),
    }


def measure(out: Path, parts: Sequence[str], kept: dict[str, Slopes]) -> None:
    """Measure some parts, one after the other, and write the result.

    Args:
        out: The JSON file.
        parts: Of `PARTS`.
        kept: Slopes of an earlier result that are not measured again.
    """
    machine = describe_machine()
    slopes = dict(kept)
    with scratch_folder("lsscale") as folder:
        for part in parts:
            file = folder / f"{part}.json"
            arguments = ["--part", part, "--out", str(file)]
            seconds = run_measured("benchmarks.scale", arguments, folder / f"{part}.log", _ONE_THREAD)
            slopes |= read_slopes(json.loads(file.read_text("utf-8")))
            say(f"{part}: {seconds:.0f} s")
    figures = figures_of(slopes)
    write_result(
        out,
        machine,
        figures,
        {"threads": 1, "seconds": "of CPU", "storage": "local disk"},
        records_of(slopes),
        {"what": "distance of the lowest from the highest of three, as a share of their mean"}
        | {"packing": spread(slopes["noise"]["packing"].values)},
    )
    for name, value in figures.items():
        say(f"{name}: {value:.4g}")
    say(f"written: {out}")


def records_of(slopes: dict[str, Slopes]) -> dict[str, Any]:
    """As JSON."""
    return {group: {name: slope.record() for name, slope in found.items()} for group, found in slopes.items()}


def read_slopes(records: dict[str, Any]) -> dict[str, Slopes]:
    """What `records_of` gave."""
    return {
        group: {name: Slope.of_record(record) for name, record in found.items()}
        for group, found in records.items()
    }


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--again", nargs="+", choices=PARTS, help="parts to measure; FILE has all others")
    parser.add_argument("--part", choices=PARTS, help="measure this alone, and write its slopes alone")
    arguments = parser.parse_args()
    if arguments.part is None:
        parts, kept = PARTS, {}
        if arguments.again:
            parts, kept = (
                arguments.again,
                read_slopes(json.loads(arguments.out.read_text("utf-8"))["measured"]),
            )
        measure(arguments.out, parts, kept)
        return
    with scratch_folder("lspart") as folder:
        found = measure_part(arguments.part, folder, Sizes())
    arguments.out.write_text(json.dumps(records_of(found)), "utf-8")


if __name__ == "__main__":
    main()
