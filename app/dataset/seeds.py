"""Seeds: the examples to be made. They depend only on the settings, the run's seed and the corpus.

A seed's document is drawn by the lowest hashes of (run's seed, id): every part of the corpus can be looked at by
itself, in any order, and whoever looks needs memory for the drawn ones only.
"""

import hashlib
import heapq
import math
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from app.agent.prompts import LONG_OUTPUT_TASK
from app.config import Config, DatasetConfig, LengthRange
from app.faults import UserError
from app.run import DOCUMENTS_DIR, PASSAGES_DIR
from app.schema import SEED_SCHEMA, Kind, Seed, document_id_of, hash_text
from app.storage import Folder

SEEDS_DIR = "seeds"
"""Folder of the dataset: the seeds with their texts."""
NO_BOUND = 2**64
"""Above every priority."""


class Candidate(NamedTuple):
    """A passage, or for long outputs a document, that may be drawn; the lower the priority, the sooner."""

    priority: int
    row_id: str
    part: str
    num_tokens: int


class DrawnSeed(NamedTuple):
    """A seed without its text, which lies in one part of the corpus."""

    seed: Seed
    part: str


Candidates = dict[Kind, list[Candidate]]
"""Candidates of each kind of example."""


class LowestCandidates:
    """The `count` candidates that come first of all that are added; memory holds about twice as many."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._candidates: list[Candidate] = []

    def add(self, candidates: list[Candidate]) -> None:
        self._candidates += candidates
        # Not each time: what is sorted must not be all that is kept for each part of the corpus.
        if len(self._candidates) > 2 * self._count:
            self._candidates = heapq.nsmallest(self._count, self._candidates)

    def lowest(self) -> list[Candidate]:
        """By priority; fewer than `count` if fewer were added."""
        return heapq.nsmallest(self._count, self._candidates)


def priority_bound(count: int, num_rows: int) -> int:
    """Priority below which at least `count` of `num_rows` rows lie, and hardly more.

    Priorities are hashes: the number below a bound is binomial. Its mean is put eight standard deviations too high, so
    that fewer are met by one draw in 10^15.
    """
    mean = count + 8 * math.sqrt(count) + 64
    return NO_BOUND if mean >= num_rows else int(NO_BOUND * (mean / num_rows))


def lowest_candidates(
    rows: Iterable[tuple[str, int]], part: str, run_seed: int, kind: Kind, count: int, bound: int = NO_BOUND
) -> list[Candidate]:
    """The `count` rows `(id, num_tokens)` of a part that come first in the draw, of those below `bound`."""
    candidates = (
        Candidate(priority, row_id, part, num_tokens)
        for row_id, num_tokens in rows
        if (priority := _priority(run_seed, kind, row_id)) < bound
    )
    return heapq.nsmallest(count, candidates)


def num_seeds_of(dataset: DatasetConfig) -> dict[Kind, int]:
    """How many seeds of each kind are wanted."""
    return {
        "long_input": dataset.num_long_input_seeds,
        "long_output": dataset.num_long_output_seeds,
        "structure": dataset.num_structure_seeds,
    }


def scan_part(corpus: Folder, config: Config, part: str, bound: int = NO_BOUND) -> Candidates:
    """Candidates of one part of the corpus; reads no text.

    Args:
        corpus: The whole corpus's folder.
        config: How many seeds are wanted.
        part: File name.
        bound: Take only passages with a lower priority: `priority_bound` of the whole corpus.
    """
    dataset, wanted = config.dataset, config.dataset.long_output_tokens
    passages = (corpus / PASSAGES_DIR).read_table(part, columns=["passage_id", "num_tokens"])
    documents = (corpus / DOCUMENTS_DIR).read_table(part, columns=["document_id", "num_tokens"])
    fitting = documents.filter(
        (pc.field("num_tokens") >= wanted.min_tokens) & (pc.field("num_tokens") <= wanted.max_tokens)
    )
    return {
        kind: lowest_candidates(
            _pairs(fitting if kind == "long_output" else passages),
            part,
            config.seed,
            kind,
            count,
            NO_BOUND if kind == "long_output" else bound,
        )
        for kind, count in num_seeds_of(dataset).items()
    }


def draw_seeds(config: Config, candidates: Candidates) -> list[DrawnSeed]:
    """All seeds of a run, from the whole corpus's candidates in the order of their priority.

    A corpus with fewer passages than seeds of a kind gives some of them twice: their tasks and lengths differ.

    Raises:
        UserError: Fewer documents of the asked length than long-output seeds.
    """
    dataset, long_outputs = config.dataset, candidates["long_output"]
    if len(long_outputs) < dataset.num_long_output_seeds:
        wanted = dataset.long_output_tokens
        raise UserError(
            f"dataset.num_long_output_seeds: {dataset.num_long_output_seeds} are requested, but the corpus has "
            f"{len(long_outputs)} documents of {wanted.min_tokens} to {wanted.max_tokens} tokens; ask for at most that "
            f"many, or widen dataset.long_output_tokens"
        )
    drawn = [
        *_draw_contexts(config, "long_input", config.agent.task_weights, candidates["long_input"]),
        *_draw_contexts(config, "structure", dataset.structure_task_weights, candidates["structure"]),
    ]
    for number, candidate in enumerate(long_outputs[: dataset.num_long_output_seeds]):
        seed = Seed(
            seed_id=_seed_id("long_output", number, config.seed, candidate.row_id),
            seed_index=0,
            kind="long_output",
            task=LONG_OUTPUT_TASK,
            document_id=candidate.row_id,
            passage_id="",
            text="",
            target_tokens=candidate.num_tokens,
            random_seed=random.Random(f"{config.seed} long_output {number}").randrange(2**31),
        )
        drawn.append(DrawnSeed(seed, candidate.part))
    # Numbered in the order in which their files are read: neighbours in the dataset come from the same few files.
    drawn.sort(key=lambda each: (each.part, each.seed.random_seed, each.seed.seed_id))
    return [DrawnSeed(replace(each.seed, seed_index=index), each.part) for index, each in enumerate(drawn)]


def _draw_contexts(
    config: Config, kind: Kind, task_weights: Mapping[str, float], candidates: list[Candidate]
) -> Iterator[DrawnSeed]:
    """Seeds whose example is a context around a passage."""
    for index in range(num_seeds_of(config.dataset)[kind]):
        candidate = candidates[index % len(candidates)]
        rng = random.Random(f"{config.seed} {kind} {index}")
        tasks, weights = zip(*sorted(task_weights.items()), strict=True)
        seed = Seed(
            seed_id=_seed_id(kind, index, config.seed, candidate.row_id),
            seed_index=0,
            kind=kind,
            task=rng.choices(tasks, weights)[0],
            document_id=document_id_of(candidate.row_id),
            passage_id=candidate.row_id,
            text="",
            target_tokens=draw_length(config.dataset.target_lengths, rng),
            random_seed=rng.randrange(2**31),
        )
        yield DrawnSeed(seed, candidate.part)


def draw_length(ranges: list[LengthRange], rng: random.Random) -> int:
    """A target length in tokens: a range by its weight, then evenly within."""
    chosen = rng.choices(ranges, [length.weight for length in ranges])[0]
    return rng.randint(chosen.min_tokens, chosen.max_tokens)


def fill_part(corpus: Folder, part: str, seeds: list[Seed]) -> pa.Table:
    """The seeds whose text lies in one part, with that text. Schema: SEED_SCHEMA."""
    texts: dict[str, str] = {}
    for folder, column, wanted in (
        (PASSAGES_DIR, "passage_id", {seed.passage_id for seed in seeds if seed.passage_id}),
        (DOCUMENTS_DIR, "document_id", {seed.document_id for seed in seeds if not seed.passage_id}),
    ):
        for table in _batches(corpus / folder, part, [column, "text"]) if wanted else ():
            kept = table.filter(pc.is_in(table[column], pa.array(sorted(wanted), pa.string())))
            texts.update(zip(kept[column].to_pylist(), kept["text"].to_pylist(), strict=True))
    rows = [asdict(seed) | {"text": texts[seed.passage_id or seed.document_id]} for seed in seeds]
    return pa.Table.from_pylist(rows, schema=SEED_SCHEMA)


def _batches(folder: Folder, part: str, columns: list[str]) -> Iterator[pa.Table]:
    """A Parquet file's row groups, one after the other: texts of a whole part need not be in memory together."""
    with folder.filesystem.open_input_file(folder.file(part)) as stream:
        file = pq.ParquetFile(stream)
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, columns=columns)


def _pairs(table: pa.Table) -> Iterator[tuple[str, int]]:
    names, counts = table.columns
    return zip(names.to_pylist(), counts.to_pylist(), strict=True)


def _priority(run_seed: int, kind: Kind, row_id: str) -> int:
    digest = hashlib.blake2b(f"{run_seed} {kind} {row_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def _seed_id(kind: Kind, number: int, run_seed: int, row_id: str) -> str:
    return f"{kind.replace('_', '-')}-{number:08d}-{hash_text(f'{run_seed} {row_id}', 8)}"
