import os

import pytest

from app.config import SourceConfig
from app.corpus.reader import read_file
from app.corpus.sources import compression_of, list_files
from app.faults import UserError
from app.schema import Document
from app.storage import Folder


def listed(path, **more):
    return list_files([SourceConfig(path=str(path), **more)])


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")


def test_a_folder_is_searched_sorted_and_without_hidden_or_unknown_files(tmp_path):
    touch(
        tmp_path,
        "b.txt",
        "a/z.md",
        "a/c.jsonl.gz",
        "x.parquet",
        "n.csv",
        ".git/d.txt",
        "_log/0.json",
        "e.rst",
    )
    files = listed(tmp_path)
    assert [file.name.removeprefix(f"{tmp_path}/") for file in files] == [
        "a/c.jsonl.gz",
        "a/z.md",
        "b.txt",
        "e.rst",
        "x.parquet",
    ]
    assert [file.format for file in files] == ["jsonl", "text", "text", "text", "parquet"]


def test_a_set_format_takes_only_its_own_files_of_a_folder(tmp_path):
    touch(tmp_path, "a.txt", "b.jsonl")
    assert [file.format for file in listed(tmp_path, format="text")] == ["text"]


def test_a_file_chosen_by_name_may_be_called_anything(tmp_path):
    touch(tmp_path, "rows.dump")
    assert listed(tmp_path / "rows.dump", format="jsonl")[0].format == "jsonl"
    with pytest.raises(
        UserError, match=r"corpus\.sources\.0\.path: '.*rows\.dump' .*corpus\.sources\.0\.format"
    ):
        listed(tmp_path / "rows.dump")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.jsonl", ["a.jsonl", "b.jsonl"]),
        ("[!a].jsonl", ["b.jsonl"]),
        ("?.jsonl", ["a.jsonl", "b.jsonl"]),
        ("**/*.jsonl", ["a.jsonl", "b.jsonl", "d/c.jsonl"]),
        ("d/*", ["d/c.jsonl"]),
        ("*/c.*", ["d/c.jsonl"]),
    ],
)
def test_globs(tmp_path, pattern, expected):
    touch(tmp_path, "b.jsonl", "a.jsonl", "d/c.jsonl", "d/e/c.txt")
    files = listed(tmp_path / pattern)
    assert [file.name.removeprefix(f"{tmp_path}/") for file in files] == expected


def test_globs_leave_out_hidden_names_that_they_do_not_spell(tmp_path):
    touch(tmp_path, "a.md", ".venv/lib/b.md", ".git/c.md", "_log/d.md", "e/.f.md")
    for pattern, expected in (("**/*.md", ["a.md"]), (".git/*.md", [".git/c.md"]), ("_*/*", ["_log/d.md"])):
        files = listed(tmp_path / pattern)
        assert [file.name.removeprefix(f"{tmp_path}/") for file in files] == expected


@pytest.mark.parametrize("pattern", ["", "**/*.jsonl", "*/*.jsonl"])
def test_the_runs_own_files_are_no_sources(tmp_path, pattern):
    touch(tmp_path, "in/a.jsonl", "run/dataset/b.jsonl", "run/c.jsonl", "run2/d.jsonl")
    for scheme in ("", "file://"):
        source = SourceConfig(path=f"{scheme}{tmp_path}/{pattern}")
        files = list_files([source], excluded=Folder(str(tmp_path / "run")))
        assert [file.path.removeprefix(f"{tmp_path}/") for file in files] == ["in/a.jsonl", "run2/d.jsonl"]
    with pytest.raises(UserError, match=r"^corpus\.sources\.0\.path: .*the run's own folder"):
        list_files([SourceConfig(path=str(tmp_path / "run"))], excluded=Folder(str(tmp_path / "run")))


def test_a_path_with_glob_characters_that_exists_is_that_path(tmp_path):
    touch(tmp_path, "a[1].txt", "a1.txt")
    assert [file.name for file in listed(tmp_path / "a[1].txt")] == [str(tmp_path / "a[1].txt")]


def test_file_uris_are_read_from_where_they_say(tmp_path):
    touch(tmp_path, "a.txt")
    [file] = listed(f"file://{tmp_path}/*.txt")
    assert file.name == f"file://{tmp_path}/a.txt"
    filesystem, path = file.open_filesystem()
    assert filesystem.open_input_file(path).readall() == b"x"


@pytest.mark.parametrize("path", ["nowhere", "*.jsonl", "empty", "bundled:nothing", "ftp://host/file"])
def test_a_source_without_files_is_refused_in_one_line(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    touch(tmp_path, "fine.txt")
    with pytest.raises(UserError, match=r"^corpus\.sources\.1\.path: ") as raised:
        list_files([SourceConfig(path="fine.txt"), SourceConfig(path=path)])
    assert repr(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_tenth_of_the_bundled_sample_is_every_tenth_document_of_it():
    whole, tenth = (
        [
            document.text
            for file in listed(f"bundled:public_domain_{name}")
            for document in read_file(file, 1 << 30)
            if isinstance(document, Document)
        ]
        for name in ("sample", "tenth")
    )
    assert tenth == whole[::10]


def test_the_bundled_sample_is_there():
    [file] = listed("bundled:public_domain_sample")
    assert (file.name, file.format) == ("bundled:public_domain_sample", "jsonl")
    assert file.num_bytes > 1_000_000


def test_compressions():
    names = ("a.jsonl.gz", "a.JSONL.ZST", "a.txt")
    assert [compression_of(name) for name in names] == ["gzip", "zstd", None]


def below(folder, files):
    return [file.path.removeprefix(f"{folder}/") for file in files]


def test_links_that_lead_back_are_walked_once(tmp_path):
    touch(tmp_path / "docs", "a/one.md", "b/two.md")
    for name in ("one", "two"):
        (tmp_path / "docs" / "a" / name).symlink_to("..")
    (tmp_path / "docs" / "self").symlink_to(".")
    assert below(tmp_path / "docs", listed(tmp_path / "docs")) == ["a/one.md", "b/two.md"]
    assert below(tmp_path / "docs", listed(tmp_path / "docs" / "**" / "*.md")) == ["a/one.md", "b/two.md"]


def test_a_link_to_another_folder_is_followed_and_a_dangling_one_is_not(tmp_path):
    touch(tmp_path, "elsewhere/sub/x.md", "docs/a/one.md")
    (tmp_path / "docs" / "0").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "docs" / "1").symlink_to("a")
    (tmp_path / "docs" / "gone.md").symlink_to("nowhere")
    (tmp_path / "docs" / "ring.md").symlink_to("ring.md")
    assert below(tmp_path / "docs", listed(tmp_path / "docs")) == ["0/sub/x.md", "a/one.md"]


def test_the_runs_own_files_are_none_through_a_link_either(tmp_path):
    touch(tmp_path, "in/a.md", "runs/r/b.md")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "runs")
    source = SourceConfig(path=str(tmp_path / "in"))
    files = list_files([source], excluded=Folder(str(tmp_path / "runs" / "r")))
    assert below(tmp_path / "in", files) == ["a.md"]


def test_a_name_that_is_not_utf8_is_named(tmp_path):
    touch(tmp_path, "fine.txt", os.fsdecode(b"gr\xf6\xdfe.txt"))
    with pytest.raises(
        UserError, match=r"can't be listed \(the name of b'.*gr\\xf6\\xdfe\.txt' is not UTF-8, rename it\)"
    ):
        listed(tmp_path)


def test_a_folder_of_hidden_files_is_there(tmp_path):
    touch(tmp_path, ".a.txt", "_b/c.txt")
    with pytest.raises(UserError, match=r"path: '.*' holds no file, but for hidden ones; give"):
        listed(tmp_path)
    with pytest.raises(UserError, match=r"path: '.*nowhere' is not there; give"):
        listed(tmp_path / "nowhere")


def test_a_name_that_its_filesystem_cannot_take_is_told():
    source = SourceConfig(path="hf://x")
    with pytest.raises(UserError, match=r"^corpus\.sources\.0\.path: 'hf://x' can't be listed \("):
        list_files([source])
