import multiprocessing

import numpy as np
import pyarrow.parquet as pq
import pytest

from app.local_copies import copy_once, local_files
from app.retrieval.passages import ROW_FILES, PassageStore, write_row_files
from app.schema import passage_id_of
from app.storage import Folder
from tests.retrieval.fake_corpus import write_corpus

PARTS = [
    [("Cats", ["A cat. ", "Two cats, ", "three cats."]), ("", ["No title 🐈."])],
    [("Ünïcode \ud83d", ["Only one."])],
    [("Dogs", ["A dog. ", "Dogs."]), ("Birds", ["b1 ", "b2 ", "b3 ", "b4 ", "b5"])],
]


@pytest.fixture
def store(tmp_path):
    corpus = Folder(str(tmp_path / "corpus"))
    parts = [[(title.replace("\ud83d", "?"), texts) for title, texts in part] for part in PARTS]
    texts = write_corpus(corpus, parts)
    assert write_row_files(corpus, Folder(str(tmp_path / "index"))) == len(texts)
    return PassageStore(tmp_path / "index", corpus)


def test_rows_follow_parts_and_documents(store):
    assert store.num_rows == 12
    assert store.documents_of(np.arange(12)).tolist() == [0, 0, 0, 1, 2, 3, 3, 4, 4, 4, 4, 4]
    ranges = [store.document_rows(ordinal) for ordinal in range(5)]
    assert ranges == [(0, 3), (3, 4), (4, 5), (5, 7), (7, 12)]
    assert [store.title(ordinal) for ordinal in range(5)] == ["Cats", "", "Ünïcode ?", "Dogs", "Birds"]
    assert store.num_tokens.tolist() == [2, 2, 2, 3, 2, 2, 1, 1, 1, 1, 1, 1]


def test_every_passage_has_its_row(store):
    assert [store.row_of(passage.passage_id) for passage in store.read(range(12)).values()] == list(range(12))


def test_every_row_reads_as_its_passage(store):
    texts = [text for part in PARTS for _, passages in part for text in passages]
    passages = store.read(range(12))
    assert [passages[row].text for row in range(12)] == texts
    for row, passage in passages.items():
        first_row, _ = store.document_rows(int(store.documents_of(np.array([row]))[0]))
        assert passage.passage_id == passage_id_of(passage.document_id, row - first_row)
        assert passage.num_tokens == store.num_tokens[row]


def test_rows_are_read_in_any_order_and_once(store):
    assert sorted(store.read([9, 0, 9, 4])) == [0, 4, 9]
    assert store.read([9])[9].text == "b3 "
    assert store.read([]) == {}


def test_a_row_group_is_read_once_while_it_is_kept(store, monkeypatch):
    opened = []
    original = pq.ParquetFile
    monkeypatch.setattr(
        pq, "ParquetFile", lambda path, **options: opened.append(path) or original(path, **options)
    )
    store.read([7, 8])
    store.read([8, 7])
    # Rows 7 and 8 lie in one row group of the last part, 9 in the next.
    assert len(opened) == 1
    store.read([8, 9])
    assert len(opened) == 2


def test_row_arrays_are_mapped(store):
    assert isinstance(store.num_tokens, np.memmap)


def test_a_passage_without_its_document_is_noticed(tmp_path):
    corpus = Folder(str(tmp_path))
    write_corpus(corpus, PARTS[:1])
    (corpus / "documents").write_table(
        "part-00000.parquet", (corpus / "documents").read_table("part-00000.parquet").slice(1)
    )
    with pytest.raises(AssertionError, match=r"part-00000.parquet: a passage without its document"):
        write_row_files(corpus, Folder(str(tmp_path / "index")))


def test_local_files_stay_where_they_are(tmp_path):
    folder = Folder(str(tmp_path / "index"))
    assert local_files(folder, ROW_FILES, "v1", tmp_path / "cache") == tmp_path / "index"
    assert not (tmp_path / "cache").exists()


NAMES = [f"file-{number}" for number in range(300)]


def copy(arguments):
    uri, cache = arguments
    return str(copy_once(Folder(uri), NAMES, "v1", cache))


@pytest.mark.slow
def test_files_are_copied_once_by_many(tmp_path):
    folder = Folder(str(tmp_path / "index"))
    for name in (*NAMES, "not asked for"):
        folder.write_bytes(name, name.encode())
    # A copy that was killed half way.
    leftover = copy_once(folder, [], "v1", tmp_path / "elsewhere").name
    (tmp_path / "cache" / "indexes" / f"{leftover}.part").mkdir(parents=True)
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        copies = pool.map(copy, [(folder.uri, tmp_path / "cache")] * 8, chunksize=1)
    assert len(set(copies)) == 1
    copied = Folder(copies[0])
    assert copied.list_names() == sorted(NAMES)
    assert all(copied.read_bytes(name) == name.encode() for name in NAMES)
    folder.write_bytes("file-1", b"new")
    assert copied.read_bytes("file-1") == b"file-1"
    assert Folder(str(copy_once(folder, NAMES, "v2", tmp_path / "cache"))).read_bytes("file-1") == b"new"
