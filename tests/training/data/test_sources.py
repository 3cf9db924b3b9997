"""Which files a training source means, and in which parts they are read."""

from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.config import RunConfig, StageConfig, TrainConfig, TrainSourceConfig
from app.faults import UserError
from app.schema import Reject
from app.training.data import sources as sources_module
from app.training.data.source_rows import read_rows
from app.training.data.sources import list_training_files, plan_parts, used_sources


def config_of(run_dir, mixes=({"a": 1.0},), **sources):
    """A recipe that trains on some paths; without any, on the run's own dataset, as `a`."""
    stages = [
        StageConfig(
            name=f"s{index}",
            max_seq_tokens=64,
            mix=mix,
            num_steps=1,
            batch_tokens=64,
            learning_rate=1e-5,
        )
        for index, mix in enumerate(mixes)
    ]
    sources = {name: TrainSourceConfig(path=str(path)) for name, path in sources.items()}
    sources = sources or {"a": TrainSourceConfig(kind="long_input")}
    return RunConfig(run_dir=str(run_dir), train=TrainConfig(model="m", stages=stages, sources=sources))


def test_used_are_the_sources_that_some_stage_mixes_in(tmp_path):
    config = config_of(tmp_path, ({"c": 1.0}, {"c": 1.0, "a": 1.0}), a="a", b="b", c="c")
    assert used_sources(config.train) == ["a", "c"]


def test_the_files_of_a_folder_but_for_what_training_writes(tmp_path):
    for name in ("b.jsonl", "a.txt", "run/notes.txt", "run/train/s0/export/README.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    files = list_training_files(config_of(tmp_path / "run", a=tmp_path), "a")
    assert [file.path.removeprefix(f"{tmp_path}/") for file in files] == ["a.txt", "b.jsonl", "run/notes.txt"]


def test_without_a_path_it_is_the_runs_own_dataset(tmp_path):
    (tmp_path / "dataset" / "examples").mkdir(parents=True)
    (tmp_path / "dataset" / "examples" / "train-00000-of-00001.parquet").write_text("x")
    [file] = list_training_files(config_of(tmp_path), "a")
    assert (file.format, file.path) == (
        "parquet",
        f"{tmp_path}/dataset/examples/train-00000-of-00001.parquet",
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", r"^train\.sources\.a\.path: '.*/nowhere' is not there; give a file, a folder or a glob"),
        ("only.csv", r"^train\.sources\.a\.path: '.*' holds no file that can be read; known: [^;]*\.rst$"),
    ],
)
def test_files_that_are_not_there_name_the_field(tmp_path, name, message):
    (tmp_path / "only.csv").write_text("x")
    with pytest.raises(UserError, match=message):
        list_training_files(config_of(tmp_path / "run", a=tmp_path / name), "a")


def test_a_large_parquet_file_is_cut_between_its_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(sources_module, "PART_BYTES", 40_000)
    texts = [f"{index} " + "word " * 500 for index in range(40)]
    pq.write_table(pa.table({"text": texts}), tmp_path / "a.parquet", row_group_size=5, use_dictionary=False)
    (tmp_path / "b.txt").write_text("b")
    (tmp_path / "c.txt").write_text("c")
    parts = plan_parts(list_training_files(config_of(tmp_path / "run", a=tmp_path), "a"), "train.sources.a")
    assert [part.index for part in parts] == [0, 1, 2, 3, 4]
    groups = [part.row_groups for part in parts[:-1]]
    assert [(group.start, group.stop, group.first_row) for group in groups] == [
        (0, 2, 0),
        (2, 4, 10),
        (4, 6, 20),
        (6, 8, 30),
    ]
    assert all(left.stop == right.start for left, right in pairwise(groups))
    rows = [row for part in parts for row in read_rows(part)]
    assert [row.text for row in rows] == [*texts, "b", "c"]
    assert rows[17].example_id == f"{tmp_path}/a.parquet:18"


def test_a_parquet_file_without_chats_and_texts_is_refused(tmp_path):
    pq.write_table(pa.table({"prompt": ["a"], "answer": ["b"]}), tmp_path / "a.parquet")
    files = list_training_files(config_of(tmp_path / "run", a=tmp_path), "a")
    with pytest.raises(
        UserError,
        match=r"^train\.sources\.a\.path: .*a\.parquet has no column 'messages' and no 'text'; it has p",
    ):
        plan_parts(files, "train.sources.a")


def test_a_corrupt_parquet_file_says_so_when_it_is_read(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"nothing")
    [part] = plan_parts(list_training_files(config_of(tmp_path / "run", a=tmp_path), "a"), "train.sources.a")
    [reject] = read_rows(part)
    assert isinstance(reject, Reject)
