"""How what surrounds the index grows: rows of passages, their text, and the seeds that are drawn from them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from app.config import Config
from app.corpus.shards import open_shard
from app.corpus.steps import DOCUMENT_GROUP_ROWS, PASSAGE_GROUP_ROWS
from app.dataset.seeds import (
    Candidate,
    DrawnSeed,
    LowestCandidates,
    draw_seeds,
    priority_bound,
    scan_part,
)
from app.recipe import load_config
from app.retrieval.passages import ROW_FILES, PassageStore, write_row_files
from app.run import DOCUMENTS_DIR, PASSAGES_DIR
from app.schema import DOCUMENT_SCHEMA, PASSAGE_SCHEMA, passage_id_of
from app.storage import Folder
from benchmarks.allocations import reset_resident_peak, resident_peak_bytes
from benchmarks.scale_corpus import folder_bytes
from benchmarks.scale_slopes import Slopes, SlopeSet, Words, cpu_sec

PASSAGE_CHARS = 2_100
"""Of 512 tokens."""
PASSAGES_PER_DOCUMENT = 4
DOCUMENTS_PER_PART = 2_000
POOL_CHARS = 4_000_000
NUM_ROWS_READ = 128
"""Passages of a context of 65,536 tokens."""
NUM_READS = 3
NUM_GROUPS_READ = 32


def measure_passages(folder: Path, sizes: Sequence[int], words: Words) -> Slopes:
    """Passages out of the store, and the scan for seeds, by the number of passages."""
    found = SlopeSet("passages")
    for size in sizes:
        corpus, target = Folder(str(folder / f"passages-{size}")), Folder(str(folder / f"rows-{size}"))
        write_passages(corpus, size, words, PASSAGE_GROUP_ROWS)
        write_row_files(corpus, target)
        found.add("read_passages", "sec", size, read_sec(corpus, target))
        config = _config_of_seeds(size // 10)
        bound = priority_bound(config.dataset.num_long_input_seeds, size)
        found.add("scan_for_seeds", "sec", size, cpu_sec(_scan, corpus, config, bound))
    return found.slopes()


def measure_row_files(folder: Path, sizes: Sequence[int], words: Words) -> Slopes:
    """The arrays beside an index, of passages whose text is left out: it is not read for them."""
    found = SlopeSet("passages")
    for size in sizes:
        corpus, target = Folder(str(folder / f"bare-{size}")), Folder(str(folder / f"bare-rows-{size}"))
        write_passages(corpus, size, words, PASSAGE_GROUP_ROWS, passage_chars=0)
        before = reset_resident_peak()
        found.add("row_files", "sec", size, cpu_sec(write_row_files, corpus, target))
        found.add("row_files_memory", "bytes", size, resident_peak_bytes() - before)
        files_bytes = sum(Path(target.file(name)).stat().st_size for name in ROW_FILES)
        found.add("row_files_size", "bytes", size, files_bytes)
    return found.slopes()


def measure_row_groups(folder: Path, num_passages: int, words: Words, sizes: Sequence[int]) -> Slopes:
    """One passage out of a row group that is not in memory, and a part's bytes, by the passages of a row group."""
    found = SlopeSet("passages of a row group")
    for size in sizes:
        corpus, target = Folder(str(folder / f"groups-{size}")), Folder(str(folder / f"group-rows-{size}"))
        write_passages(corpus, num_passages, words, size, documents_per_part=num_passages)
        write_row_files(corpus, target)
        first, others = [], []
        for _ in range(NUM_READS):
            store = PassageStore(Path(target.path), corpus)
            first.append(cpu_sec(store.read, [0]))
            rows = range(size, num_passages, max(size, num_passages // NUM_GROUPS_READ // size * size))
            others.append(cpu_sec(store.read, rows) / len(rows))
        # Its footer is read with the first.
        found.add("first_of_part", "sec", size, min(first))
        found.add("one_of_group", "sec", size, min(others))
        found.add("part_size", "bytes", size, folder_bytes(corpus / PASSAGES_DIR))
    return found.slopes()


def measure_seeds(sizes: Sequence[int]) -> Slopes:
    """What the driver holds and does for the seeds, by their number: candidates are gathered, seeds drawn."""
    found = SlopeSet("seeds")
    for size in sizes:
        config = _config_of_seeds(size)
        before = reset_resident_peak()
        found.add("draw_seeds", "sec", size, cpu_sec(_draw, config, _candidates(size)))
        found.add("seeds_memory", "bytes", size, resident_peak_bytes() - before)
    return found.slopes()


def write_passages(
    corpus: Folder,
    num_passages: int,
    words: Words,
    row_group_rows: int,
    documents_per_part: int = DOCUMENTS_PER_PART,
    passage_chars: int = PASSAGE_CHARS,
) -> None:
    """Documents of a few passages each, cut out of a pool of words."""
    random = np.random.default_rng(0)
    pool = " ".join(random.choice(words, POOL_CHARS // 8).tolist())
    num_documents = num_passages // PASSAGES_PER_DOCUMENT
    for first in range(0, num_documents, documents_per_part):
        part = f"part-{first:09d}.parquet"
        with (
            open_shard(corpus / DOCUMENTS_DIR, part, DOCUMENT_SCHEMA, DOCUMENT_GROUP_ROWS) as documents,
            open_shard(corpus / PASSAGES_DIR, part, PASSAGE_SCHEMA, row_group_rows) as passages,
        ):
            for number in range(first, min(first + documents_per_part, num_documents)):
                document_id = f"{number:016x}"
                # A document's own text is not read here.
                documents.add(
                    document_id, "", f"Document number {number} of a collection", "file", number, 2048
                )
                for index, start in enumerate(
                    random.integers(len(pool) - passage_chars, size=PASSAGES_PER_DOCUMENT)
                ):
                    span = (index * passage_chars, (index + 1) * passage_chars, 512)
                    text = pool[start : start + passage_chars]
                    passages.add(passage_id_of(document_id, index), document_id, *span, text)


def read_sec(corpus: Folder, row_files: Folder) -> float:
    """Least seconds to read passages from all over the corpus, none of whose row groups are in memory."""
    random = np.random.default_rng(2)
    times = []
    for _ in range(NUM_READS):
        store = PassageStore(Path(row_files.path), corpus)
        times.append(cpu_sec(store.read, random.integers(store.num_rows, size=NUM_ROWS_READ).tolist()))
    return min(times)


def _config_of_seeds(num_seeds: int) -> Config:
    numbers = ["--dataset.num_long_input_seeds", str(num_seeds)]
    numbers += ["--dataset.num_long_output_seeds", "0", "--dataset.num_structure_seeds", "0"]
    config = load_config("laptop", numbers)
    assert isinstance(config, Config)
    return config


def _scan(corpus: Folder, config: Config, bound: int) -> list[Candidate]:
    lowest = LowestCandidates(config.dataset.num_long_input_seeds)
    for part in (corpus / PASSAGES_DIR).list_names(".parquet"):
        lowest.add(scan_part(corpus, config, part, bound)["long_input"])
    return lowest.lowest()


def _candidates(count: int) -> list[Candidate]:
    priorities = np.random.default_rng(3).integers(0, 2**63, count).tolist()
    rows = (passage_id_of(f"{number:016x}", 0) for number in range(count))
    return [
        Candidate(priority, row_id, f"part-{number % 500:05d}-000.parquet", 512)
        for number, (priority, row_id) in enumerate(zip(priorities, rows, strict=True))
    ]


def _draw(config: Config, candidates: list[Candidate]) -> list[DrawnSeed]:
    lowest = LowestCandidates(len(candidates))
    lowest.add(candidates)
    return draw_seeds(config, {"long_input": lowest.lowest(), "long_output": [], "structure": []})
