"""Where models are found: remote folders are copied once, and again when they change."""

import pyarrow.fs as pafs
import pytest

from app import storage
from app.faults import UserError
from app.local_copies import copy_once
from app.models import places
from app.models.places import copy_to_cache
from app.storage import Folder


@pytest.fixture
def remote(tmp_path, monkeypatch):
    """A folder that `mock://` stands for, and a cache of its own."""
    (tmp_path / "far" / "model" / "below").mkdir(parents=True)
    monkeypatch.setenv("LONGSTRAP_CACHE", str(tmp_path / "cache"))
    filesystem = pafs.SubTreeFileSystem(str(tmp_path / "far"), pafs.LocalFileSystem())
    monkeypatch.setattr(storage, "open_storage", lambda uri: (filesystem, uri.removeprefix("mock://")))
    return tmp_path / "far" / "model"


def test_a_remote_folder_is_copied_once_and_again_when_it_changed(remote):
    (remote / "config.json").write_text("{}")
    (remote / "below" / "vocabulary").write_text("a")
    first = copy_to_cache("mock://model")
    assert (first / "config.json").read_text() == "{}"
    assert (first / "below" / "vocabulary").read_text() == "a"
    assert copy_to_cache("mock://model") == first
    (remote / "config.json").write_text('{"new": 1}')
    second = copy_to_cache("mock://model")
    assert second != first
    assert (second / "config.json").read_text() == '{"new": 1}'
    assert places.resolve_model("mock://model") == str(second)


def test_an_empty_remote_folder_is_no_model(remote):
    with pytest.raises(UserError, match=r"^mock://model: no such folder, or it is empty"):
        copy_to_cache("mock://model")


def test_a_copy_that_was_killed_half_way_is_started_afresh(tmp_path):
    folder = Folder(str(tmp_path / "far"))
    folder.write_bytes("a", b"whole")
    name = copy_once(folder, [], "v1", tmp_path / "elsewhere").name
    half = tmp_path / "cache" / f"{name}.part"
    half.mkdir(parents=True)
    (half / "b").touch()
    copy = copy_once(folder, ["a"], "v1", tmp_path / "cache")
    assert copy == tmp_path / "cache" / name
    assert Folder(str(copy)).list_names() == ["a"]
    assert not half.exists()
