"""Rows of training sources: chats and texts out of any file, and a reason for each that is neither."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.config import SourceConfig
from app.corpus.sources import list_source
from app.corpus.units import WorkUnit
from app.schema import Reject
from app.training.data import source_rows
from app.training.data.source_rows import SourceRow, read_rows

CHAT = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}]


def read(path, kind=None):
    files = list_source(SourceConfig(path=str(path)), "train.sources.a")
    return list(read_rows(WorkUnit(0, tuple(files)), kind))


def lines_of(*rows):
    return "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows).encode()


def test_chats_and_texts_of_jsonl(tmp_path):
    path = tmp_path / "rows.jsonl.gz"
    more = [CHAT[0] | {"weight": 1}, CHAT[1]]
    rows = lines_of({"messages": more, "text": "not this"}, {"text": "A text", "messages": None, "n": 1})
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + rows))
    assert read(path) == [SourceRow(f"{path}:1", CHAT, ""), SourceRow(f"{path}:2", None, "A text")]


def test_a_row_keeps_an_id_of_its_own(tmp_path):
    (tmp_path / "rows.jsonl").write_bytes(lines_of({"example_id": "s7", "text": "A"}))
    assert read(tmp_path)[0].example_id == "s7"


@pytest.mark.parametrize(
    ("row", "reason", "detail"),
    [
        ("", "empty", "a blank line"),
        ("{", "bad JSON", ""),
        ("[1]", "wrong type", "the row is a list, not an object"),
        (
            {"conversations": [], "id": 3},
            "wrong type",
            "no messages and no text; there are: conversations, id",
        ),
        ({"messages": "hi"}, "wrong type", "messages is a str, not a list"),
        ({"messages": []}, "empty", "no message"),
        ({"messages": ["hi"]}, "wrong type", "message 1 is a str, not an object"),
        ({"messages": [CHAT[0], {"role": "assistant"}]}, "wrong type", "message 2 has no content that is a"),
        ({"messages": [{"content": "x"}]}, "wrong type", "message 1 has no role that is a string"),
        ({"text": 3}, "wrong type", "text is a int, not a string"),
        ({"text": " \n"}, "empty", "text is blank"),
        ({"text": "\ud800"}, "not UTF-8", ""),
        ({"text": "x" * 200}, "too large", "200 bytes, at most 100"),
    ],
)
def test_a_malformed_row_is_rejected_and_the_next_is_read(tmp_path, monkeypatch, row, reason, detail):
    monkeypatch.setattr(source_rows, "MAX_ROW_BYTES", 100)
    path = tmp_path / "rows.jsonl"
    path.write_bytes(lines_of(row, {"text": "A"}))
    reject, fine = read(path)
    assert (reject.row_id, reject.step, reject.reason) == (f"{path}:1", "read", reason)
    assert detail in reject.detail
    assert isinstance(fine, SourceRow)


def test_a_text_file_is_one_text(tmp_path):
    (tmp_path / "a.md").write_text("# A\n\nText.")
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe")
    fine, reject = read(tmp_path)
    assert fine == SourceRow(f"{tmp_path}/a.md:1", None, "# A\n\nText.")
    assert reject.reason == "not UTF-8"


def write_examples(path, num_rows, group_rows=4):
    rows = [
        {
            "example_id": f"s{index}",
            "kind": ("long_input", "long_output")[index % 2],
            "messages": [{"role": "user", "content": f"Question {index}"}, CHAT[1]],
        }
        for index in range(num_rows)
    ]
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=group_rows)


def test_rows_of_one_kind(tmp_path):
    write_examples(tmp_path / "a.parquet", 50)
    assert [row.example_id for row in read(tmp_path / "a.parquet")] == [f"s{index}" for index in range(50)]
    found = read(tmp_path / "a.parquet", "long_output")
    assert [row.example_id for row in found] == [f"s{index}" for index in range(1, 50, 2)]
    assert found[0].messages[0] == {"role": "user", "content": "Question 1"}


def test_parquet_rows_that_are_malformed(tmp_path):
    texts = pa.array([b"fine", b"\xff", None], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": texts}), tmp_path / "a.parquet")
    fine, broken, missing = read(tmp_path / "a.parquet")
    assert fine.text == "fine"
    assert (broken.row_id, broken.reason) == (f"{tmp_path}/a.parquet:2", "not UTF-8")
    assert (missing.reason, missing.detail) == ("wrong type", "no messages and no text; there are: text")


@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl.gz"])
def test_a_broken_file_is_one_reject(tmp_path, name):
    (tmp_path / name).write_bytes(b"PAR1 or gzip, neither")
    [reject] = read(tmp_path)
    assert isinstance(reject, Reject)
    assert (reject.row_id, reject.reason) == (f"{tmp_path}/{name}:1", "unreadable")
