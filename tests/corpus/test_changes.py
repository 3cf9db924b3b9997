"""A corpus that was made of other files than those that are there now."""

import os

import pytest

from app.config import SourceConfig
from app.corpus.changes import describe_changes, record_inputs
from app.corpus.sources import list_files
from app.storage import Folder


@pytest.fixture
def docs(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.txt").write_text(name)
    return folder


def changes(docs, tmp_path, change):
    corpus = Folder(str(tmp_path / "corpus"))
    sources = [SourceConfig(path=str(docs))]
    record_inputs(corpus, list_files(sources))
    assert describe_changes(corpus, list_files(sources)) is None
    change()
    return describe_changes(corpus, list_files(sources))


def test_what_was_appended_is_noticed(docs, tmp_path):
    line = changes(docs, tmp_path, lambda: (docs / "a.txt").write_text("a and more"))
    assert (
        f"not what it was made of: 1 of another size ({docs}/a.txt); it stays as it is, give another run_dir"
        in line
    )


def test_new_and_missing_files_are_noticed(docs, tmp_path):
    line = changes(docs, tmp_path, lambda: (docs / "a.txt").rename(docs / "d.txt"))
    assert f": 1 new ({docs}/d.txt), 1 gone ({docs}/a.txt); " in line


def test_another_content_of_one_size_is_noticed_by_its_date(docs, tmp_path):
    line = changes(docs, tmp_path, lambda: os.utime(docs / "b.txt", ns=(0, 5)))
    assert f"1 of another date ({docs}/b.txt)" in line


def test_a_corpus_without_a_record_of_its_inputs_says_nothing(tmp_path):
    assert describe_changes(Folder(str(tmp_path)), []) is None


def test_other_things_that_are_made_of_files_have_a_name_and_a_remedy_of_their_own(docs, tmp_path):
    tokens, sources = Folder(str(tmp_path / "tokens")), [SourceConfig(path=str(docs))]
    record_inputs(tokens, list_files(sources))
    (docs / "d.txt").write_text("d")
    line = describe_changes(tokens, list_files(sources), "tokens of short", "rename it")
    assert line is not None
    assert line.startswith("tokens of short: its input files are not what it was made of: 1 new ")
    assert line.endswith("; it stays as it is, rename it")
