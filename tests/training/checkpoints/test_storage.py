import io
from pathlib import Path

import pyarrow.fs as pafs
import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint import FileSystemReader, FileSystemWriter

from app.storage import Folder
from app.training.checkpoints.storage import ArrowFileSystem, CheckpointWriter, open_reader
from tests.training.far_folder import FarFolder


@pytest.fixture
def files(tmp_path):
    return ArrowFileSystem(pafs.LocalFileSystem()), str(tmp_path)


def test_local_folders_are_left_to_torch(tmp_path):
    folder = Folder(str(tmp_path))
    assert type(CheckpointWriter(folder).fs._filesystem) is type(FileSystemWriter(tmp_path).fs)
    assert type(open_reader(folder).fs) is type(FileSystemReader(tmp_path).fs)


@pytest.mark.parametrize("write", [Folder, FarFolder])
@pytest.mark.parametrize("read", [Folder, FarFolder])
def test_both_ways_write_and_read_the_same_files(tmp_path, write, read):
    state = {
        "weight": torch.randn(300, 7),
        "step": torch.tensor(3.0),
        "groups": [{"lr": 0.5, "names": ["a"]}],
    }
    place = str(tmp_path / "checkpoint")
    dcp.save(state, storage_writer=CheckpointWriter(write(place)), no_dist=True)
    loaded = {
        "weight": torch.zeros(300, 7),
        "step": torch.tensor(0.0),
        "groups": [{"lr": 0.0, "names": [""]}],
    }
    dcp.load(loaded, storage_reader=open_reader(read(place)), no_dist=True)
    assert torch.equal(loaded["weight"], state["weight"])
    assert torch.equal(loaded["step"], state["step"])
    assert loaded["groups"] == state["groups"]
    assert sorted(path.name for path in Path(place).iterdir()) == [".metadata", "__0_0.distcp"]


def test_a_far_writer_stages_copies(tmp_path):
    weight = torch.ones(4)
    staged = CheckpointWriter(FarFolder(str(tmp_path))).stage({"weight": weight})
    weight.fill_(2.0)
    assert torch.equal(staged["weight"], torch.ones(4))


def test_files_are_read_as_torch_reads_them(files):
    filesystem, place = files
    path = filesystem.concat_path(place, "new")
    with filesystem.create_stream(path, "wb") as stream:
        stream.write(b"0123456789")
        assert stream.tell() == 10
    with filesystem.create_stream(path, "rb") as stream:
        stream.seek(-3, io.SEEK_END)
        assert stream.read(2) == b"78"
        stream.seek(2)
        buffer = bytearray(4)
        assert stream.readinto(buffer) == 4
        assert bytes(buffer) == b"2345"
        assert stream.seekable()


def test_a_write_that_fails_is_an_error(files):
    filesystem, place = files
    with pytest.raises(OSError), filesystem.create_stream(f"{place}/no/such/folder", "wb"):
        pass


def test_files_are_moved_found_and_removed(files):
    filesystem, place = files
    folder = filesystem.init_path(filesystem.concat_path(place, "a"))
    filesystem.mkdir(f"{folder}/b")
    filesystem.mkdir(f"{folder}/b")
    old, new = f"{folder}/b/old", f"{folder}/b/new"
    Path(old).write_bytes(b"x")
    filesystem.rename(old, new)
    assert filesystem.exists(new)
    assert not filesystem.exists(old)
    filesystem.rm_file(new)
    assert not filesystem.exists(new)
