"""Resolves the training sources to files, and splits these into parts for reading."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain

import pyarrow as pa
import pyarrow.parquet as pq

from app.config import RunConfig, SourceConfig, TrainConfig
from app.corpus.reader import RowGroups
from app.corpus.sources import SourceFile, list_source
from app.corpus.streams import RawFile
from app.corpus.units import WorkUnit, plan_units
from app.dataset.shards import EXAMPLES_DIR
from app.faults import UserError
from app.run import Run
from app.training.data.source_rows import ROW_COLUMNS

PART_BYTES = 150_000_000
"""Uncompressed, of Parquet: a row group of our own datasets."""
_NUM_FOOTERS_AT_ONCE = 16


def used_sources(train: TrainConfig) -> list[str]:
    """Sorted names of the sources that some stage mixes in."""
    return sorted({name for stage in train.stages for name in stage.mix})


def list_training_files(config: RunConfig, name: str) -> list[SourceFile]:
    """Files of one source of the training, sorted by path.

    Raises:
        UserError: There are none that can be read; names the field.
    """
    assert config.train is not None
    run, path = Run(config.run_dir), config.train.sources[name].path
    section = f"train.sources.{name}"
    if path is None:
        examples = SourceConfig(path=(run.dataset.folder / EXAMPLES_DIR).uri, format="parquet")
        return list_source(examples, section, has_format=False)
    # What training itself writes is not its input.
    return list_source(SourceConfig(path=path), section, excluded=run.folder / "train", has_format=False)


def plan_parts(files: Sequence[SourceFile], section: str) -> list[WorkUnit]:
    """Parts of a source: what one task reads, the same whatever the number of tasks.

    Parquet files are cut between row groups into about `PART_BYTES`; their footers are read here. Others can't be
    cut; small ones go together.

    Args:
        files: Files of the source.
        section: Dotted name of the source's settings, for errors.

    Raises:
        UserError: A Parquet file has neither chats nor texts.
    """
    tables = [file for file in files if file.format == "parquet"]
    with ThreadPoolExecutor(_NUM_FOOTERS_AT_ONCE) as pool:
        groups = list(pool.map(lambda file: _measure_groups(file, section), tables))
    stretches = (
        WorkUnit(0, (file,), stretch)
        for file, sizes in zip(tables, groups, strict=True)
        for stretch in _stretches(sizes)
    )
    others = plan_units([file for file in files if file.format != "parquet"], rows_per_unit=1)
    return [replace(part, index=index) for index, part in enumerate(chain(stretches, others))]


def _measure_groups(file: SourceFile, section: str) -> list[tuple[int, int]]:
    """Rows and bytes of each row group; none of a corrupt file, which says so when it is read."""
    with RawFile(file) as raw:
        try:
            parquet = pq.ParquetFile(pa.PythonFile(raw, mode="r"))
        except (OSError, pa.ArrowInvalid):
            return []
        there = parquet.schema_arrow.names
        if not set(ROW_COLUMNS) & set(there):
            raise UserError(
                f"{section}.path: {file.name} has neither a column {' nor '.join(ROW_COLUMNS)}; "
                f"it has {', '.join(there)}"
            )
        metadata = parquet.metadata
        groups = [metadata.row_group(index) for index in range(parquet.num_row_groups)]
        return [(group.num_rows, group.total_byte_size) for group in groups]


def _stretches(groups: Sequence[tuple[int, int]]) -> Iterator[RowGroups | None]:
    if not groups:
        yield None
        return
    start = first_row = num_rows = num_bytes = 0
    for index, (rows, size) in enumerate(groups):
        if index > start and num_bytes + size > PART_BYTES:
            yield RowGroups(start, index, first_row)
            start, first_row, num_rows, num_bytes = index, first_row + num_rows, 0, 0
        num_rows += rows
        num_bytes += size
    yield RowGroups(start, len(groups), first_row)
