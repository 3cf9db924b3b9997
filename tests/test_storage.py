import errno
import os
import pickle
from pathlib import Path

import pyarrow as pa
import pytest

from app.faults import UserError
from app.storage import Folder, NotWritableError, is_remote, open_storage


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


def test_a_disk_that_is_full_is_told_with_the_file(tmp_path):
    folder = Folder("/dev")
    with (
        pytest.raises(
            NotWritableError, match=r"^/dev/full: can't be written \(No space left on device\); make room"
        ),
        folder.writing("full"),
        folder.filesystem.open_output_stream(folder.file("full")) as stream,
    ):
        stream.write(b"x")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
        OSError(errno.EROFS, os.strerror(errno.EROFS)),
        RuntimeError("Error in faiss::FileIOWriter: write error: 3 != 5 (No space left on device)"),
    ],
)
def test_a_storage_that_takes_no_more_is_the_users_to_mend(tmp_path, error):
    folder = Folder(str(tmp_path / "run"))
    folder.write_bytes("name", b"first")
    with pytest.raises(UserError, match=r"/run/name: can't be written") as raised, folder.replace("name"):
        raise error
    # Best effort writers, such as signs of life, go on.
    assert isinstance(raised.value, OSError)
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)
    assert folder.read_bytes("name") == b"first"


def test_what_is_refused_elsewhere_is_not_this_storages(tmp_path):
    folder = Folder(str(tmp_path))
    with pytest.raises(PermissionError), folder.replace("name"):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/corpus/file.txt")
    with pytest.raises(NotWritableError, match="Permission denied"), folder.replace("name") as aside:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), aside)
