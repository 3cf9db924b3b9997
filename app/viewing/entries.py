"""What of a dataset is shown: its examples and its rejects, as far as files tell of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from app.dataset.result_rows import RESULTS_DIR
from app.dataset.results import reject_of
from app.dataset.seeds import SEEDS_DIR
from app.dataset.shards import EXAMPLES_DIR
from app.dataset.statistics import REJECTS_DIR
from app.schema import Reject
from app.storage import Folder
from app.viewing.sampling import draw_sample

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """One seed and what became of it."""

    seed_id: str
    kind: str
    task: str
    num_tokens: int | None
    """Of the example; of a reject that never was one, the length that was asked for."""
    example: Row | None
    """In EXAMPLE_SCHEMA; also of a reject that was an example until the end."""
    reject: Reject | None = None
    """Why it is none; None: it is one."""
    seed_text: str = ""
    """Of a reject: the passage or document that it started from."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A sample of rows."""

    num_all: int
    """How many rows there are."""
    num_chosen: int
    entries: Iterable[Entry]
    """One after the other: a context of a million tokens need not stay in memory."""


def choose_examples(dataset: Folder, num_rows: int) -> Chosen:
    """A sample of a finished dataset's examples with all kinds and tasks, in the dataset's order."""
    folder = dataset / EXAMPLES_DIR
    names = folder.list_names(".parquet")
    tables = [folder.read_table(name, columns=["kind", "task"]) for name in names]
    groups = [(row["kind"], row["task"]) for table in tables for row in table.to_pylist()]
    places = draw_sample(groups, num_rows)
    return Chosen(len(groups), len(places), _read_rows(folder, names, places))


def choose_rejects(dataset: Folder, num_rows: int) -> Chosen:
    """A sample of a finished dataset's rejects with all reasons, in the dataset's order."""
    folder = dataset / REJECTS_DIR
    rows = [row for name in folder.list_names(".parquet") for row in folder.read_table(name).to_pylist()]
    places = draw_sample([(row["step"], row["reason"]) for row in rows], num_rows)
    rejects = [
        Reject(row["row_id"], row["step"], row["reason"], row["detail"] or "")
        for row in (rows[place] for place in places)
    ]
    return Chosen(len(rows), len(rejects), _with_seeds(dataset, rejects))


def entry_of_result(row: Row) -> Entry:
    """A row of RESULT_SCHEMA as it is before the dataset is finished."""
    reject = reject_of(row)
    example = None if reject else {**row, "example_id": row["seed_id"]}
    return Entry(row["seed_id"], row["kind"], row["task"], row["num_tokens"], example, reject)


def _read_rows(folder: Folder, names: Sequence[str], places: Sequence[int]) -> Iterator[Entry]:
    """Entries of the examples at some places of the dataset; row groups without any are not read."""
    wanted = set(places)
    first = 0
    for name in names:
        with pq.ParquetFile(folder.file(name), filesystem=folder.filesystem, pre_buffer=False) as shard:
            for group in range(shard.num_row_groups):
                num_rows = shard.metadata.row_group(group).num_rows
                if not wanted.isdisjoint(range(first, first + num_rows)):
                    batches = shard.iter_batches(batch_size=1, row_groups=[group])
                    for place, batch in enumerate(batches, first):
                        if place in wanted:
                            yield _entry_of_example(batch.to_pylist()[0])
                first += num_rows


def _entry_of_example(row: Row) -> Entry:
    return Entry(row["example_id"], row["kind"], row["task"], row["num_tokens"], row)


def _with_seeds(dataset: Folder, rejects: Sequence[Reject]) -> Iterator[Entry]:
    """Rejects with what is known of their seeds, and of the examples that they were until the end."""
    ids = [reject.row_id for reject in rejects]
    columns = ["seed_id", "kind", "task", "target_tokens", "text"]
    seeds = {row["seed_id"]: row for row in _find_rows(dataset / SEEDS_DIR, ids, columns)}
    # Kept where a verified dataset may be finished again with other thresholds.
    drafts = {row["seed_id"]: row for row in _find_rows(dataset / RESULTS_DIR, ids, None)}
    for reject in rejects:
        seed, draft = seeds.get(reject.row_id, {}), drafts.get(reject.row_id)
        was_example = draft is not None and draft["reject_reason"] is None
        yield Entry(
            reject.row_id,
            seed.get("kind", ""),
            seed.get("task", ""),
            draft["num_tokens"] if draft is not None and was_example else seed.get("target_tokens"),
            draft if was_example else None,
            reject,
            seed.get("text", ""),
        )


def _find_rows(folder: Folder, ids: Sequence[str], columns: list[str] | None) -> Iterator[Row]:
    """Rows of some seeds; files without any are read no further than their ids."""
    wanted = pa.array(ids, pa.string())
    for name in folder.list_names(".parquet") if ids else ():
        is_wanted = pc.is_in(folder.read_table(name, columns=["seed_id"])["seed_id"], wanted)
        if pc.any(is_wanted).as_py():
            yield from folder.read_table(name, columns=columns).filter(is_wanted).to_pylist()
