import pickle
from pathlib import Path

import pyarrow as pa
import pytest

from app.faults import UserError
from app.storage import Folder, is_remote, open_storage


def test_files_are_written_whole_or_not_at_all(tmp_path):
    folder = Folder(str(tmp_path / "new"))
    folder.write_bytes("name", b"first")
    with pytest.raises(RuntimeError), folder.replace("name") as aside:  # noqa: PT012
        Path(aside).write_bytes(b"half")
        raise RuntimeError
    assert folder.read_bytes("name") == b"first"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["name"]


def test_half_written_files_are_not_listed(tmp_path):
    folder = Folder(str(tmp_path))
    with folder.replace("b.txt") as aside:
        folder.filesystem.open_output_stream(aside).close()
        folder.write_bytes("a.txt", b"")
        folder.write_bytes("c.json", b"")
        assert folder.list_names() == ["a.txt", "c.json"]
    assert folder.list_names(".txt") == ["a.txt", "b.txt"]


def test_a_folder_that_is_not_there_is_empty(tmp_path):
    folder = Folder(str(tmp_path / "none"))
    assert folder.list_names() == []
    assert not folder.exists()
    folder.delete()


def test_json_and_tables_come_back(tmp_path):
    folder = Folder(str(tmp_path))
    folder.write_json("x.json", {"key": "ä"})
    assert folder.read_json("x.json") == {"key": "ä"}
    table = pa.table({"a": [1, 2], "b": ["x", "y"]})
    folder.write_table("x.parquet", table)
    assert folder.read_table("x.parquet", columns=["b"]).to_pydict() == {"b": ["x", "y"]}


def test_delete_takes_all_of_it(tmp_path):
    folder = Folder(str(tmp_path / "a"))
    (folder / "b").write_bytes("c", b"")
    folder.delete()
    assert not (tmp_path / "a").exists()


def test_folders_are_picklable_and_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = Folder("sub")
    monkeypatch.chdir("/")
    assert pickle.loads(pickle.dumps(folder)).uri == str(tmp_path / "sub")


def test_uris_name_other_filesystems(tmp_path):
    filesystem, path = open_storage(f"file://{tmp_path}/ä b[1]")
    assert path == f"{tmp_path}/ä b[1]"
    assert isinstance(filesystem, pa.fs.LocalFileSystem)
    folder = Folder(f"file://{tmp_path}") / "x"
    folder.write_bytes("y", b"1")
    assert (tmp_path / "x" / "y").read_bytes() == b"1"


def test_an_unknown_scheme_is_named():
    with pytest.raises(
        UserError, match=r"^nowhere://x: no such filesystem .*; use a local path, s3:// or gs://$"
    ):
        open_storage("nowhere://x")


def test_what_is_remote():
    assert is_remote("s3://bucket/x")
    assert not is_remote("file:///x")
    assert not is_remote("runs/x")


def test_options_of_a_uri_stay_behind_the_path():
    folder = (
        Folder("s3://bucket/runs?region=eu-west-1&endpoint_override=localhost:9000") / "corpus" / "documents"
    )
    assert folder.uri == "s3://bucket/runs/corpus/documents?region=eu-west-1&endpoint_override=localhost:9000"
    assert folder.path == "bucket/runs/corpus/documents"
