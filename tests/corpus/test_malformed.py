"""What could not be read is judged in rows, in files and in bytes, by whichever is most."""

import os

import pytest

from app.config import CorpusConfig, SourceConfig
from app.corpus.malformed import check_malformed
from app.corpus.shards import CorpusLayout
from app.corpus.sources import list_files
from app.corpus.steps import UnitRecord, scan_unit
from app.corpus.units import plan_units
from app.faults import UserError
from app.storage import Folder


def check(folder, tmp_path, max_share):
    """Read a folder as the job does."""
    settings = CorpusConfig(sources=[SourceConfig(path=str(folder))])
    files, layout = list_files(settings.sources), CorpusLayout(Folder(str(tmp_path / "corpus")))
    records = [scan_unit(unit, layout, settings) for unit in plan_units(files)]
    return check_malformed(records, files, max_share, layout.rejects.uri)


@pytest.fixture
def folder(tmp_path):
    """Ten files of twelve documents each, four of which are broken: 4 of 76 rows."""
    docs = tmp_path / "docs"
    docs.mkdir()
    for index in range(6):
        rows = [f'{{"text": "document {index} {row}"}}' for row in range(12)]
        (docs / f"{index}.jsonl").write_text("\n".join(rows))
    for index in range(6, 10):
        (docs / f"{index}.jsonl.gz").write_bytes(b"broken")
    return docs


def test_unreadable_files_are_files_and_not_a_row_each(folder, tmp_path):
    expected = (
        r"^corpus\.max_reject_share: 4 of 10 files can't be read to their end \(40\.0%: unreadable 4\), above 6\.0%; "
        r".* the first is .*6\.jsonl\.gz:1: unreadable"
    )
    with pytest.raises(UserError, match=expected):
        check(folder, tmp_path, 0.06)


def test_what_is_missing_is_told_where_it_is_allowed(folder, tmp_path):
    line = check(folder, tmp_path, 0.4)
    assert line.startswith("corpus: 76 rows read, 4 malformed; 4 of 10 files can't be read to their end, ")


def test_one_large_file_counts_by_its_bytes(folder, tmp_path):
    (folder / "z.jsonl.gz").write_bytes(os.urandom(100_000))
    with pytest.raises(UserError, match=r"^corpus\.max_reject_share: 100 kB of 10\d kB can't be read \(9\d"):
        check(folder, tmp_path, 0.5)


def test_malformed_rows_are_judged_as_before():
    record = UnitRecord(shard_documents=[9], num_rejects={"empty": 1}, first_reject="a:1: empty ()")
    [file] = list_files([SourceConfig(path="bundled:public_domain_sample")])
    assert check_malformed([record], [file], 0.1, "r") == "corpus: 10 rows read, 1 malformed"
    with pytest.raises(UserError, match=r"1 of 10 rows are malformed \(10\.0%: empty 1\), above 9\.0%"):
        check_malformed([record], [file], 0.09, "r")


def test_no_row_at_all():
    with pytest.raises(UserError, match=r"^corpus\.sources: the files contain no rows"):
        check_malformed([UnitRecord(shard_documents=[0])], [], 0.05, "r")
