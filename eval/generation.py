"""Generates all samples of a suite once, in several processes, and caches them."""

import hashlib
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from dataclasses import dataclass
from itertools import groupby

from app.storage import Folder
from eval.samples import SAMPLES_FORMAT, Sample, SampleMaker, Slot, fingerprint, read_part, write_part

PART_TOKENS = 4_000_000
"""A part's samples have about so many tokens; what is lost when a process dies."""
MAX_PART_SAMPLES = 100
TOKENS_WORTH_A_PROCESS = 4_000_000
"""Starting another process takes as long as making a few million tokens."""
POLL_SEC = 2.0


@dataclass(frozen=True)
class SampleSet:
    """The samples of a suite on disk, in the order in which they are to be asked."""

    folder: Folder
    parts: list[list[Slot]]

    def samples(self, is_wanted: Callable[[str], bool]) -> Iterator[Sample]:
        """Those whose id is wanted; parts without any are not read."""
        for part in self.parts:
            if any(is_wanted(slot.sample_id) for slot in part):
                for sample in read_part(self.folder, part_name(part)):
                    if is_wanted(sample.sample_id):
                        yield sample


def part_name(part: list[Slot]) -> str:
    # Another number of samples may put others behind the same first one.
    ids = "\n".join(slot.sample_id for slot in part)
    return f"{part[0].sample_id}-{len(part)}-{hashlib.sha256(ids.encode()).hexdigest()[:8]}.parquet"


def prepare_samples(
    maker: SampleMaker,
    slots: list[Slot],
    cache: Folder,
    num_workers: int | None,
    report: Callable[[str], None],
) -> SampleSet:
    """Make the samples that the cache does not hold yet.

    Args:
        maker: Sample maker of the suite.
        slots: The wanted slots of the maker, in its order.
        cache: Cache folder of all suites and models, with one folder per maker.
        num_workers: Number of processes. None: one per core.
        report: Gets a line when samples are made, and for each eighth of them.

    Raises:
        UserError: A length is too short for its task.
    """
    # Beside the maker's values, not among them: one of a like name would take its place.
    folder = cache / fingerprint({"format": SAMPLES_FORMAT, "maker": maker.identity()})
    parts = list(_split(slots))
    there = set(folder.list_names(".parquet"))
    missing = [part for part in parts if part_name(part) not in there]
    if missing:
        num_samples = sum(map(len, missing))
        report(f"generating {num_samples:,} samples")
        num_done, told = 0, 1
        for num_made in _make(maker, folder, missing, num_workers):
            num_done += num_made
            if num_done * 8 // num_samples >= told and num_done < num_samples:
                report(f"{num_done:,} of {num_samples:,} samples generated")
                told = num_done * 8 // num_samples + 1
    return SampleSet(folder, parts)


def _split(slots: list[Slot]) -> Iterator[list[Slot]]:
    """Slots side by side with the same task and length, in parts; what another number of samples has, too."""
    for (_, length), run in groupby(slots, key=lambda slot: (slot.task, slot.length_tokens)):
        alike = list(run)
        num_together = min(max(PART_TOKENS // length, 1), MAX_PART_SAMPLES)
        yield from (alike[first : first + num_together] for first in range(0, len(alike), num_together))


def _make(
    maker: SampleMaker, folder: Folder, parts: list[list[Slot]], num_workers: int | None
) -> Iterator[int]:
    num_tokens = sum(slot.length_tokens for part in parts for slot in part)
    num_processes = min(num_workers or os.cpu_count() or 1, len(parts), num_tokens // TOKENS_WORTH_A_PROCESS)
    if num_processes < 2:
        yield from (_make_part(maker, folder, part) for part in parts)
        return
    # A forked process would share locks of libraries that have threads. Each one keeps its maker to the end, whose
    # haystacks are tokenized once.
    context = multiprocessing.get_context("spawn")
    left = {part_name(part): len(part) for part in parts}
    with ProcessPoolExecutor(num_processes, context) as pool:
        futures = {
            pool.submit(_make_parts, maker, folder, parts[first::num_processes])
            for first in range(num_processes)
        }
        while futures:
            done, futures = wait(futures, timeout=POLL_SEC, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
            for name in left.keys() & set(folder.list_names(".parquet")):
                yield left.pop(name)


def _make_parts(maker: SampleMaker, folder: Folder, parts: list[list[Slot]]) -> None:
    for part in parts:
        _make_part(maker, folder, part)


def _make_part(maker: SampleMaker, folder: Folder, part: list[Slot]) -> int:
    samples = [maker.make(slot) for slot in part]
    for sample, slot in zip(samples, part, strict=True):
        assert sample.sample_id == slot.sample_id
        assert sample.num_tokens <= slot.length_tokens, f"{sample.sample_id} has {sample.num_tokens} tokens"
    write_part(folder, part_name(part), samples)
    return len(part)
