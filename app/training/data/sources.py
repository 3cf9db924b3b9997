"""Resolves the training sources to files, and splits these into parts for reading."""

from collections.abc import Sequence

from app.config import RunConfig, SourceConfig, TrainConfig
from app.corpus.sources import SourceFile, list_source
from app.corpus.units import WorkUnit, plan_units
from app.dataset.shards import EXAMPLES_DIR
from app.run import Run
from app.training.data.source_rows import row_columns

PART_BYTES = 150_000_000
"""Uncompressed, of Parquet: a row group of our own datasets."""


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

    Args:
        files: Files of the source.
        section: Dotted name of the source's settings, for errors.

    Raises:
        UserError: A Parquet file has neither chats nor texts.
    """
    return plan_units(files, max_parquet_bytes=PART_BYTES, columns_of=lambda _: row_columns(section))
