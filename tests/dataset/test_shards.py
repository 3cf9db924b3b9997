"""Shards: every row once, in order, in row groups of the wanted size, and never half a file."""

import pyarrow.parquet as pq
import pytest

from app.dataset.shards import write_shards
from app.schema import EXAMPLE_SCHEMA
from app.storage import Folder
from tests.dataset.example_rows import make_row


def read(folder, names):
    return [row for name in names for row in folder.read_table(name).to_pylist()]


@pytest.mark.parametrize(
    ("num_rows", "num_shards"), [(0, 1), (1, 1), (5, 1), (6, 2), (11, 3)], ids=lambda number: str(number)
)
def test_rows_come_back_once_and_in_order(tmp_path, num_rows, num_shards):
    folder = Folder(str(tmp_path / "examples"))
    rows = [make_row(index) for index in range(num_rows)]
    names = write_shards(iter(rows), num_rows, folder, rows_per_shard=5, row_group_bytes=1000)
    assert names == [f"train-{index:05d}-of-{num_shards:05d}.parquet" for index in range(num_shards)]
    assert folder.list_names() == names
    assert read(folder, names) == rows
    assert all(folder.read_table(name).schema.equals(EXAMPLE_SCHEMA) for name in names)
    sizes = [folder.read_table(name).num_rows for name in names]
    assert max(sizes) <= 5
    assert max(sizes) - min(sizes) <= 1


def test_row_groups_are_closed_by_their_bytes(tmp_path):
    folder = Folder(str(tmp_path))
    rows = [make_row(index, documents="word " * (10_000 if index % 2 else 10)) for index in range(20)]
    (name,) = write_shards(rows, 20, folder, rows_per_shard=100, row_group_bytes=100_000)
    metadata = pq.ParquetFile(tmp_path / name).metadata
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    assert [group.num_rows for group in groups] == [4, 4, 4, 4, 4]


def test_the_files_are_as_the_hub_wants_them(tmp_path):
    folder = Folder(str(tmp_path))
    (name,) = write_shards([make_row(0)], 1, folder, rows_per_shard=1, row_group_bytes=1000)
    column = pq.ParquetFile(tmp_path / name).metadata.row_group(0).column(0)
    assert column.has_offset_index
    assert column.has_column_index
    assert column.compression == "ZSTD"


def test_shards_of_an_earlier_try_go(tmp_path):
    folder = Folder(str(tmp_path / "examples"))
    rows = [make_row(index) for index in range(12)]
    write_shards(rows, 12, folder, rows_per_shard=3, row_group_bytes=1000)
    names = write_shards(rows[:7], 7, folder, rows_per_shard=4, row_group_bytes=1000)
    assert folder.list_names() == names
    assert read(folder, names) == rows[:7]


def test_a_failing_source_leaves_no_half_file(tmp_path):
    def rows():
        yield from (make_row(index) for index in range(7))
        raise RuntimeError("the source broke")

    folder = Folder(str(tmp_path / "examples"))
    with pytest.raises(RuntimeError, match="the source broke"):
        write_shards(rows(), 10, folder, rows_per_shard=5, row_group_bytes=1000)
    assert [path.name for path in (tmp_path / "examples").iterdir()] == ["train-00000-of-00002.parquet"]


@pytest.mark.parametrize("announced", [6, 8])
def test_another_number_than_announced_is_a_fault(tmp_path, announced):
    rows = [make_row(index) for index in range(7)]
    with pytest.raises(AssertionError, match="announced"):
        write_shards(rows, announced, Folder(str(tmp_path)), rows_per_shard=5, row_group_bytes=1000)


def test_memory_holds_one_row_group(tmp_path):
    written = []

    def rows():
        for index in range(40):
            # What is written so far shows how much is held back.
            written.append(sum(path.stat().st_size for path in tmp_path.iterdir()))
            yield make_row(
                index, documents=f"{index} " + "".join(chr(97 + (index * j) % 23) for j in range(20_000))
            )

    write_shards(rows(), 40, Folder(str(tmp_path / ".")), rows_per_shard=100, row_group_bytes=60_000)
    assert written[20] > 0
    assert written[39] > written[20]
