import os

import pyarrow as pa
import pyarrow.parquet as pq

from app.config import SourceConfig
from app.corpus.rows import RowGroups
from app.corpus.sources import list_files
from app.corpus.units import UNIT_FILES, fingerprint_of_plan, plan_units


def plan(folder, rows_per_unit=100, unit_bytes=100):
    return plan_units(list_files([SourceConfig(path=str(folder))]), rows_per_unit, unit_bytes)


def names(units):
    return [[file.path.rpartition("/")[2] for file in unit.files] for unit in units]


def test_small_files_go_together_in_order(tmp_path):
    for name, size in [("a.txt", 40), ("b.jsonl", 60), ("c.txt", 1), ("d.txt", 500), ("e.txt", 0)]:
        (tmp_path / name).write_text("x" * size)
    units = plan(tmp_path)
    assert names(units) == [["a.txt", "b.jsonl"], ["c.txt"], ["d.txt"], ["e.txt"]]
    assert [unit.index for unit in units] == [0, 1, 2, 3]


def test_a_unit_has_a_limited_number_of_files(tmp_path):
    for index in range(UNIT_FILES + 1):
        (tmp_path / f"{index:05d}.txt").touch()
    assert [len(unit.files) for unit in plan(tmp_path)] == [UNIT_FILES, 1]


def test_parquet_files_are_cut_between_row_groups(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    pq.write_table(pa.table({"text": ["x"] * 70}), tmp_path / "b.parquet", row_group_size=20)
    (tmp_path / "c.parquet").write_bytes(b"broken")
    (tmp_path / "d.txt").write_text("x")
    units = plan(tmp_path, rows_per_unit=45)
    assert names(units) == [["a.txt"], ["b.parquet"], ["b.parquet"], ["c.parquet"], ["d.txt"]]
    assert [unit.row_groups for unit in units[1:4]] == [RowGroups(0, 2, 0), RowGroups(2, 4, 40), None]


def test_a_row_group_above_the_limit_is_a_unit_of_its_own(tmp_path):
    pq.write_table(pa.table({"text": ["x"] * 60}), tmp_path / "a.parquet", row_group_size=20)
    assert [unit.row_groups.start for unit in plan(tmp_path, rows_per_unit=10)] == [0, 1, 2]


def test_the_plan_changes_with_its_files(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    before = fingerprint_of_plan(plan(tmp_path), [])
    assert fingerprint_of_plan(plan(tmp_path), []) == before
    assert fingerprint_of_plan(plan(tmp_path), ["squad.json"]) != before
    (tmp_path / "a.txt").write_text("xy")
    assert fingerprint_of_plan(plan(tmp_path), []) != before


def test_the_plan_changes_with_a_content_of_the_same_size(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    os.utime(tmp_path / "a.txt", (1, 1))
    before = fingerprint_of_plan(plan(tmp_path), [])
    (tmp_path / "a.txt").write_text("y")
    assert fingerprint_of_plan(plan(tmp_path), []) != before


def test_the_plan_changes_with_its_row_groups(tmp_path):
    pq.write_table(pa.table({"text": ["x"] * 70}), tmp_path / "a.parquet", row_group_size=20)
    one, other = plan(tmp_path, rows_per_unit=45), plan(tmp_path, rows_per_unit=65)
    assert names(one) == names(other) == [["a.parquet"], ["a.parquet"]]
    assert fingerprint_of_plan(one, []) != fingerprint_of_plan(other, [])
