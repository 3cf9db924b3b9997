"""How the corpus grows: reading, comparing and cutting documents, the search for repeats, and the files listed.

All of `app.corpus` that a task runs is run here, one task after the other, in one process.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from app.config import CorpusConfig, DedupConfig, SourceConfig
from app.corpus.decontamination import Contaminants
from app.corpus.dedup import band_hashes, lsh_bands
from app.corpus.ngrams import hash_ngrams
from app.corpus.repeats import EdgeTask, find_edges, plan_edge_tasks, resolve_repeats, sketch_schema
from app.corpus.shards import CorpusLayout, ShardName
from app.corpus.sources import list_files
from app.corpus.steps import UnitRecord, finish_shard, scan_unit
from app.corpus.units import WorkUnit, fingerprint_of_plan, plan_units
from app.storage import Folder
from app.text.words import split_words
from app.tokens import Tokenizer
from benchmarks.allocations import reset_resident_peak, resident_peak_bytes
from benchmarks.driver_memory import write_corpus
from benchmarks.scale_slopes import Slopes, SlopeSet, cpu_sec

TOKENIZER = "bundled:smollm2-135m-instruct"
WORDS_PER_DOCUMENT = 700
"""About a thousand tokens, as a document of FineWeb-Edu has."""
NEAR_SHARE = 0.1
"""Of the sketches that are near repeats of an earlier one."""
CHANGED_SHARE = 0.05
"""Of a signature's values that such a repeat has changed."""
SHARES = 8
"""Of a hash column, when one task reads a share of it only."""


def measure_corpus(folder: Path, sizes: Sequence[int], documents_per_shard: int) -> Slopes:
    """Both passes over a corpus, and what they leave on storage."""
    found, tokenizer = SlopeSet("documents"), Tokenizer(TOKENIZER)
    tokenizer.count("loaded before anything is measured")
    contaminants = Contaminants({13: np.unique(hash_ngrams(split_words("no such text " * 9), 13))}, 13, 1, 1)
    for size in sizes:
        sources = folder / f"documents-{size}"
        write_corpus(sources, size, WORDS_PER_DOCUMENT)
        settings = CorpusConfig(
            sources=[SourceConfig(path=str(sources))],
            passage_tokens=512,
            documents_per_shard=documents_per_shard,
        )
        layout = CorpusLayout(Folder(str(folder / f"corpus-{size}")))
        units = plan_units(list_files(settings.sources), documents_per_shard)
        found.add("read", "sec", size, cpu_sec(_scan, units, layout, settings))
        found.add("sketches", "bytes", size, _sketch_bytes(layout))
        found.add("find_repeats", "sec", size, cpu_sec(_find_repeats, size, layout, settings.dedup))
        found.add("cut", "sec", size, cpu_sec(_finish, units, layout, settings, tokenizer, contaminants))
        found.add("corpus", "bytes", size, folder_bytes(layout.documents) + folder_bytes(layout.passages))
        found.add("tokens", "tokens", size, _num_tokens(layout))
        found.add("corpus_files", "files", size, _num_files(layout))
    return found.slopes()


def measure_repeats(folder: Path, sizes: Sequence[int], documents_per_shard: int) -> Slopes:
    """The search for repeats over sketches of random documents, a tenth of them near repeats of others."""
    found, settings = SlopeSet("documents"), DedupConfig(contained=False)
    for size in sizes:
        layout = CorpusLayout(Folder(str(folder / f"sketches-{size}")))
        write_sketches(layout, size, documents_per_shard, settings)
        tasks = plan_edge_tasks(size, settings)
        before = reset_resident_peak()
        seconds = [cpu_sec(find_edges, task, layout, settings) for task in tasks]
        found.add("one_column", "sec", size, sum(seconds) / len(seconds))
        found.add("column_memory", "bytes", size, resident_peak_bytes() - before)
        # The first share has the whole column's name, and that is done.
        share = EdgeTask(tasks[-1].column, 1, SHARES)
        found.add("eighth_of_column", "sec", size, cpu_sec(find_edges, share, layout, settings))
        before = reset_resident_peak()
        found.add("resolve", "sec", size, cpu_sec(resolve_repeats, tasks, layout, settings))
        found.add("resolve_memory", "bytes", size, resident_peak_bytes() - before)
    return found.slopes()


def measure_sketch_files(folder: Path, num_documents: int, nums_files: Sequence[int]) -> Slopes:
    """One task of the search over the same number of documents in more and more files."""
    found, settings = SlopeSet("sketch files"), DedupConfig()
    task = plan_edge_tasks(num_documents, settings)[0]
    for num_files in nums_files:
        layout = CorpusLayout(Folder(str(folder / f"files-{num_files}")))
        write_sketches(layout, num_documents, num_documents // num_files, settings)
        found.add("column_of_files", "sec", num_files, cpu_sec(find_edges, task, layout, settings))
    return found.slopes()


def measure_input_files(folder: Path, sizes: Sequence[int]) -> Slopes:
    """What the driver does with the input files, a document in each: list them, plan units, tell if they changed."""
    found = SlopeSet("input files")
    for size in sizes:
        sources = folder / f"texts-{size}"
        sources.mkdir()
        for number in range(size):
            (sources / f"{number:09d}.txt").write_text(f"Text {number}.", "utf-8")
        before = reset_resident_peak()
        found.add("plan_files", "sec", size, cpu_sec(_plan_files, sources))
        found.add("plan_files_memory", "bytes", size, resident_peak_bytes() - before)
        found.add("list_names", "sec", size, cpu_sec(Folder(str(sources)).list_names, ".txt"))
    return found.slopes()


def write_sketches(
    layout: CorpusLayout, num_documents: int, documents_per_shard: int, settings: DedupConfig
) -> None:
    """Sketches of documents that are unlike each other, save for near repeats."""
    random = np.random.default_rng(0)
    bands = lsh_bands(settings.threshold, settings.num_permutations)
    schema = sketch_schema(settings)
    for number, start in enumerate(range(0, num_documents, documents_per_shard)):
        count = min(documents_per_shard, num_documents - start)
        signatures = random.integers(0, 2**32, (count, settings.num_permutations), dtype=np.uint32)
        for later in np.flatnonzero(random.random(count) < NEAR_SHARE)[1:]:
            is_kept = random.random(settings.num_permutations) >= CHANGED_SHARE
            signatures[later][is_kept] = signatures[random.integers(later)][is_kept]
        shard = ShardName(number, 0)
        orders = shard.first_order(documents_per_shard) + np.arange(count)
        ids = random.integers(0, 2**63, count, dtype=np.uint64)
        hashes = [band_hashes(values, *bands) for values in signatures]
        columns = [
            pa.array(orders),
            pa.array([f"{value:016x}" for value in ids.tolist()]),
            pa.array(ids),
            *(pa.array(column, pa.uint64()) for column in zip(*hashes, strict=True)),
            pa.array(np.zeros(count, dtype=np.int64)),
            pa.array([values.astype("<u4").tobytes() for values in signatures], schema.types[-1]),
        ]
        layout.scan.write_table(f"sketch-{shard}.parquet", pa.Table.from_arrays(columns, schema=schema))


def folder_bytes(folder: Folder) -> int:
    """Of all files below a local folder."""
    return sum(path.stat().st_size for path in _files(folder))


def _files(folder: Folder) -> Iterator[Path]:
    return (path for path in Path(folder.path).rglob("*") if path.is_file())


def _scan(units: Sequence[WorkUnit], layout: CorpusLayout, settings: CorpusConfig) -> list[UnitRecord]:
    return [scan_unit(unit, layout, settings) for unit in units]


def _find_repeats(num_documents: int, layout: CorpusLayout, settings: DedupConfig) -> None:
    tasks = plan_edge_tasks(num_documents, settings)
    for task in tasks:
        find_edges(task, layout, settings)
    resolve_repeats(tasks, layout, settings)


def _finish(
    units: Sequence[WorkUnit],
    layout: CorpusLayout,
    settings: CorpusConfig,
    tokenizer: Tokenizer,
    contaminants: Contaminants,
) -> None:
    # What is scanned is not scanned again: the records tell the shards.
    for unit, record in zip(units, _scan(units, layout, settings), strict=True):
        for number in range(len(record.shard_documents)):
            finish_shard(ShardName(unit.index, number), layout, settings, tokenizer, contaminants)


def _plan_files(sources: Path) -> str:
    units = plan_units(list_files([SourceConfig(path=str(sources))]), 20_000)
    return fingerprint_of_plan(units, [])


def _sketch_bytes(layout: CorpusLayout) -> int:
    return sum(path.stat().st_size for path in _files(layout.scan) if path.name.startswith("sketch-"))


def _num_tokens(layout: CorpusLayout) -> int:
    folder = layout.documents
    tables = [folder.read_table(name, ["num_tokens"]) for name in folder.list_names(".parquet")]
    return sum(int(np.sum(table["num_tokens"].to_numpy())) for table in tables)


def _num_files(layout: CorpusLayout) -> int:
    return sum(
        len(folder.list_names())
        for folder in (layout.documents, layout.passages, layout.rejects, layout.scan)
    )
