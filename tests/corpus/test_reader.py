import gzip
import json
import os
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.config import FieldNames, SourceConfig
from app.corpus.reader import document_columns, read_file
from app.corpus.rows import RowGroups, measure_groups
from app.corpus.sources import list_files
from app.corpus.streams import StorageError, split_lines
from app.faults import UserError
from app.schema import Document, hash_text


def source_file(path, **fields):
    return list_files([SourceConfig(path=str(path), fields=FieldNames(**fields))])[0]


def read(path, max_bytes=1000, row_groups=None, **fields):
    return list(read_file(source_file(path, **fields), max_bytes, row_groups))


def groups(path):
    file = source_file(path)
    return measure_groups(file, document_columns(file))


def reasons(rows):
    return [(int(row.row_id.rpartition(":")[2]), row.reason) for row in rows if not isinstance(row, Document)]


def texts(rows):
    return [(row.line, row.text) for row in rows if isinstance(row, Document)]


def test_malformed_rows_become_rejects_and_the_rest_is_read(tmp_path):
    path = tmp_path / "rows.jsonl"
    lines = [
        b'\xef\xbb\xbf{"text": "first", "title": " One "}',
        b'{"text": "half',
        b'{"text": "\xff\xfe"}',
        b'{"text": "\\ud800 alone"}',
        b'{"text": "  \\n "}',
        b'{"text": null}',
        b"",
        b'{"text": 7}',
        b"[1, 2]",
        b'{"body": "other field"}',
        json.dumps({"text": "x" * 1001}).encode(),
        b"[" * 100_000,
        b'{"text": "nul \\u0000 and \\ud83d\\ude42 pass", "title": 5}\r',
    ]
    path.write_bytes(b"\n".join(lines))
    rows = read(path)
    assert reasons(rows) == [
        (2, "bad JSON"),
        (3, "not UTF-8"),
        (4, "not UTF-8"),
        (5, "empty"),
        (6, "empty"),
        (7, "empty"),
        (8, "wrong type"),
        (9, "wrong type"),
        (10, "wrong type"),
        (11, "too large"),
        (12, "bad JSON"),
    ]
    assert texts(rows) == [(1, "first"), (13, "nul \x00 and 🙂 pass")]
    assert (rows[0].title, rows[-1].title) == ("One", "5")
    assert rows[0].document_id == hash_text("first")
    assert rows[1].row_id == f"{path}:2"
    assert rows[1].step == "read"
    assert "body" in rows[9].detail


def test_fields_are_mapped(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"body": "words", "name": "N"}\n')
    [row] = read(path, text="body", title="name")
    assert (row.text, row.title) == ("words", "N")
    assert read(path, text="body", title=None)[0].title == ""


def test_a_title_may_be_a_number(tmp_path):
    pq.write_table(pa.table({"text": ["a", "b"], "title": [1984.5, None]}), tmp_path / "a.parquet")
    (tmp_path / "b.jsonl").write_text(
        '{"text": "a", "title": 1984}\n{"text": "a", "title": NaN}\n{"text": "a", "title": true}'
    )
    assert [row.title for row in read(tmp_path / "a.parquet")] == ["1984.5", ""]
    assert [row.title for row in read(tmp_path / "b.jsonl")] == ["1984", "", ""]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_compressed_files_and_what_is_left_of_truncated_ones(tmp_path, suffix):
    line = b'{"text": "%s"}\n'
    content = b"".join(line % os.urandom(400).hex().encode() for _ in range(4000))
    packed = gzip.compress(content) if suffix == ".gz" else pa.compress(content, "zstd", asbytes=True)
    whole, cut = tmp_path / f"whole.jsonl{suffix}", tmp_path / f"cut.jsonl{suffix}"
    whole.write_bytes(packed)
    cut.write_bytes(packed[: len(packed) // 2])
    assert len(texts(read(whole))) == 4000
    rows = read(cut)
    assert 0 < len(rows) < 2500
    assert reasons(rows) == [(len(rows), "unreadable")]


def test_all_whole_rows_before_the_break_of_a_small_archive_are_read(tmp_path):
    lines = [json.dumps({"text": f"{index} {os.urandom(30).hex()}"}) for index in range(100)]
    packed = gzip.compress("\n".join(lines).encode())
    path = tmp_path / "cut.jsonl.gz"
    path.write_bytes(packed[: len(packed) // 2])
    *rows, lost = read(path)
    assert [row.text for row in rows] == [json.loads(line)["text"] for line in lines[: len(rows)]]
    assert len(rows) > 40
    assert lost.row_id == f"{path}:{len(rows) + 1}"
    assert lost.file == str(path)


def test_a_file_of_which_nothing_is_read_is_lost_with_all_its_bytes(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(b"no gzip at all")
    [lost] = read(path)
    assert (lost.reason, lost.lost_bytes) == ("unreadable", 14)


def test_a_failing_storage_is_not_taken_for_a_broken_file(tmp_path):
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"text": "a"}\n'))
    file = source_file(path)
    path.unlink()
    with pytest.raises(StorageError, match=r"rows\.jsonl\.gz"):
        list(read_file(file, 1000))


def test_an_endless_line_is_never_held_whole(tmp_path):
    path = tmp_path / "rows.jsonl"
    with path.open("wb") as stream:
        stream.write(b'{"text": "')
        for _ in range(100):
            stream.write(b"a" * 1_000_000)
        stream.write(b'"}\n{"text": "next"}\n')
    tracemalloc.start()
    rows = read(path, max_bytes=1000)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reasons(rows) == [(1, "too large")]
    assert texts(rows) == [(2, "next")]
    assert peak_bytes < 10_000_000


def test_lines_do_not_depend_on_blocks():
    content = b"one\n\nthree is long\nfour"
    for size in (1, 2, 7, 100):
        blocks = (content[start : start + size] for start in range(0, len(content), size))
        assert list(split_lines(blocks, 8)) == [b"one", b"", None, b"four"]


def test_text_files(tmp_path):
    (tmp_path / "a.md").write_bytes(b"\xef\xbb\xbf# Title\n\nBody \xc3\xa9\n")
    (tmp_path / "b.txt").write_bytes(b"\xff")
    (tmp_path / "c.rst").write_bytes(b" \n")
    (tmp_path / "d.txt").write_bytes(b"x" * 1001)
    (tmp_path / "e.markdown").write_bytes(b"y" * 1000)
    [a] = read(tmp_path / "a.md")
    assert (a.text, a.title, a.line) == ("# Title\n\nBody é\n", "a", 1)
    assert reasons(read(tmp_path / "b.txt")) == [(1, "not UTF-8")]
    assert reasons(read(tmp_path / "c.rst")) == [(1, "empty")]
    assert reasons(read(tmp_path / "d.txt")) == [(1, "too large")]
    assert texts(read(tmp_path / "e.markdown")) == [(1, "y" * 1000)]


def test_parquet_rows_and_row_groups(tmp_path):
    path = tmp_path / "rows.parquet"
    table = pa.table({"text": ["a", None, " ", "d", "e"], "title": ["A", None, "C", "D", "E"], "n": range(5)})
    pq.write_table(table, path, row_group_size=2)
    assert [rows for rows, _ in groups(path)] == [2, 2, 1]
    rows = read(path)
    assert texts(rows) == [(1, "a"), (4, "d"), (5, "e")]
    assert reasons(rows) == [(2, "empty"), (3, "empty")]
    assert [row.title for row in rows if isinstance(row, Document)] == ["A", "D", "E"]
    assert texts(read(path, row_groups=RowGroups(1, 3, 2))) == [(4, "d"), (5, "e")]


def test_parquet_with_a_missing_column_is_the_users_fault(tmp_path):
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"body": ["a"], "n": [1]}), path)
    message = r"corpus\.sources\.0\.fields\.text: .*rows\.parquet has no column 'text'; it has body, n"
    with pytest.raises(UserError, match=message):
        read(path)
    with pytest.raises(UserError, match=message):
        groups(path)


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["a", "b"], pa.large_string()),
        pa.array(["a", "b"]).dictionary_encode(),
        pa.array([b"a", b"b"], pa.binary()),
    ],
)
def test_parquet_columns_that_hold_text(tmp_path, column):
    pq.write_table(pa.table({"text": column}), tmp_path / "rows.parquet")
    assert texts(read(tmp_path / "rows.parquet")) == [(1, "a"), (2, "b")]


def test_parquet_columns_that_do_not(tmp_path):
    pq.write_table(pa.table({"text": [1, 2]}), tmp_path / "numbers.parquet")
    assert reasons(read(tmp_path / "numbers.parquet")) == [(1, "wrong type"), (2, "wrong type")]
    broken = pa.array([b"fine", b"\xff"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": broken}), tmp_path / "broken.parquet")
    rows = read(tmp_path / "broken.parquet")
    assert (texts(rows), reasons(rows)) == ([(1, "fine")], [(2, "not UTF-8")])


def test_of_a_corrupt_parquet_file_the_other_row_groups_are_read(tmp_path):
    path = tmp_path / "rows.parquet"
    texts = [os.urandom(300).hex() for _ in range(100)]
    pq.write_table(pa.table({"text": texts}), path, row_group_size=25, use_dictionary=False)
    column = pq.ParquetFile(path).metadata.row_group(1).column(0)
    content = bytearray(path.read_bytes())
    # Its page's header, so that no string of the group comes out.
    content[column.data_page_offset : column.data_page_offset + 40] = bytes(40)
    path.write_bytes(content)
    rows = read(path)
    assert [row.text for row in rows if isinstance(row, Document)] == texts[:25] + texts[50:]
    assert reasons(rows) == [(26, "unreadable")]
    assert rows[25].lost_bytes == pytest.approx(len(content) / 4, abs=1)
    path.write_bytes(content[:100])
    assert groups(path) == []
    [lost] = read(path)
    assert (lost.row_id, lost.reason, lost.lost_bytes) == (f"{path}:1", "unreadable", 100)
