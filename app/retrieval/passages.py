"""Maps rows of the index back to documents and their text.

Row numbers count all passages of the corpus, part after part. What a ranking needs of each row lies in small arrays
beside the index, mapped into memory; text stays in the corpus' Parquet parts and is read a row group at a time.
"""

import io
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from app.retrieval.vectors import Rows
from app.run import DOCUMENTS_DIR, PASSAGES_DIR
from app.schema import PASSAGE_SCHEMA, Passage, hash_text
from app.storage import Folder

NUM_TOKENS_FILE = "num_tokens.npy"
DOCUMENT_ORDINALS_FILE = "document_ordinals.npy"
DOCUMENT_STARTS_FILE = "document_first_rows.npy"
DOCUMENT_KEYS_FILE = "document_keys.npy"
KEY_ORDINALS_FILE = "document_key_ordinals.npy"
TITLE_STARTS_FILE = "title_starts.npy"
TITLES_FILE = "titles.npy"
GROUP_STARTS_FILE = "row_group_first_rows.npy"
GROUP_PARTS_FILE = "row_group_parts.npy"
PARTS_FILE = "parts.json"
ROW_FILES = (
    NUM_TOKENS_FILE,
    DOCUMENT_ORDINALS_FILE,
    DOCUMENT_STARTS_FILE,
    DOCUMENT_KEYS_FILE,
    KEY_ORDINALS_FILE,
    TITLE_STARTS_FILE,
    TITLES_FILE,
    GROUP_STARTS_FILE,
    GROUP_PARTS_FILE,
    PARTS_FILE,
)

# Row groups hold 256 passages, about half a megabyte of text. They are read side by side: on object storage each costs
# a round trip, and a long context takes passages from hundreds.
_NUM_CACHED_ROW_GROUPS = 256
_NUM_READERS = 16
NUM_CACHED_FOOTERS = 1024


def write_row_files(corpus: Folder, target: Folder) -> int:
    """Write the arrays of `ROW_FILES` for a corpus, one part in memory at a time, and return the number of rows."""
    names = (corpus / PASSAGES_DIR).list_names(".parquet")
    num_tokens: list[npt.NDArray[np.int32]] = []
    ordinals: list[npt.NDArray[np.int32]] = []
    document_starts: list[Rows] = []
    keys: list[npt.NDArray[np.uint64]] = []
    titles: list[bytes] = []
    title_bytes: list[Rows] = []
    group_starts: list[int] = []
    group_parts: list[int] = []
    num_rows = num_documents = 0
    for part, name in enumerate(names):
        footer = _read_footer(corpus, name)
        sizes = [footer.row_group(group).num_rows for group in range(footer.num_row_groups)]
        group_starts += (num_rows + np.cumsum([0, *sizes])[:-1]).tolist()
        group_parts += [part] * len(sizes)
        table = (corpus / PASSAGES_DIR).read_table(name, columns=["document_id", "num_tokens"])
        ids = np.asarray(table["document_id"].to_pylist(), dtype=object)
        is_first = np.ones(len(ids), dtype=bool)
        is_first[1:] = ids[1:] != ids[:-1]
        num_tokens.append(table["num_tokens"].to_numpy().astype(np.int32))
        ordinals.append((num_documents + np.cumsum(is_first) - 1).astype(np.int32))
        document_starts.append(num_rows + np.flatnonzero(is_first).astype(np.int64))
        keys.append(np.array([_key(name) for name in ids[is_first]], dtype=np.uint64))
        part_titles = _titles(corpus, name, ids[is_first])
        # Joined, as an object a title would take several times its bytes.
        titles.append(b"".join(part_titles))
        title_bytes.append(np.fromiter(map(len, part_titles), dtype=np.int64, count=len(part_titles)))
        num_rows += len(ids)
        num_documents += int(is_first.sum())
    _save(target, NUM_TOKENS_FILE, np.concatenate(num_tokens))
    _save(target, DOCUMENT_ORDINALS_FILE, np.concatenate(ordinals))
    _save(
        target, DOCUMENT_STARTS_FILE, np.concatenate([*document_starts, np.array([num_rows], dtype=np.int64)])
    )
    all_keys = np.concatenate(keys)
    order = np.argsort(all_keys, kind="stable")
    _save(target, DOCUMENT_KEYS_FILE, all_keys[order])
    _save(target, KEY_ORDINALS_FILE, order.astype(np.int32))
    _save(target, TITLE_STARTS_FILE, np.cumsum(np.concatenate([np.zeros(1, np.int64), *title_bytes])))
    # One byte more, as nothing can't be mapped.
    _save(target, TITLES_FILE, np.frombuffer(b"".join(titles) + b"\0", dtype=np.uint8))
    _save(target, GROUP_STARTS_FILE, np.array(group_starts, dtype=np.int64))
    _save(target, GROUP_PARTS_FILE, np.array(group_parts, dtype=np.int32))
    target.write_json(PARTS_FILE, names)
    return num_rows


def _key(document_id: str) -> int:
    """A document's number in the look-up of ids; two documents with one are not to be expected."""
    return int(hash_text(document_id, 16), 16)


def _titles(corpus: Folder, name: str, document_ids: Sequence[str]) -> list[bytes]:
    table = (corpus / DOCUMENTS_DIR).read_table(name, columns=["document_id", "title"])
    title_of = dict(zip(table["document_id"].to_pylist(), table["title"].to_pylist(), strict=True))
    assert all(document_id in title_of for document_id in document_ids), (
        f"{name}: a passage without its document"
    )
    return [(title_of[document_id] or "").encode("utf-8", "surrogatepass") for document_id in document_ids]


def _save(folder: Folder, name: str, array: npt.NDArray[Any]) -> None:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    folder.write_bytes(name, buffer.getvalue())


def _read_footer(corpus: Folder, name: str) -> pq.FileMetaData:
    return pq.read_metadata((corpus / PASSAGES_DIR).file(name), filesystem=corpus.filesystem)


class PassageStore:
    """Rows of the index as documents and passages."""

    def __init__(self, row_files: Path, corpus: Folder) -> None:
        """Map the arrays.

        Args:
            row_files: Local folder with `ROW_FILES`.
            corpus: The corpus that they were written for, local or remote.
        """
        local = Folder(str(row_files))
        self.num_tokens: npt.NDArray[np.int32] = np.load(local.file(NUM_TOKENS_FILE), mmap_mode="r")
        self._ordinals = np.load(local.file(DOCUMENT_ORDINALS_FILE), mmap_mode="r")
        self._document_starts = np.load(local.file(DOCUMENT_STARTS_FILE), mmap_mode="r")
        self._keys = np.load(local.file(DOCUMENT_KEYS_FILE), mmap_mode="r")
        self._key_ordinals = np.load(local.file(KEY_ORDINALS_FILE), mmap_mode="r")
        self._title_starts = np.load(local.file(TITLE_STARTS_FILE), mmap_mode="r")
        self._titles = np.load(local.file(TITLES_FILE), mmap_mode="r")
        self._group_starts = np.load(local.file(GROUP_STARTS_FILE))
        self._group_parts = np.load(local.file(GROUP_PARTS_FILE))
        self._parts: list[str] = local.read_json(PARTS_FILE)
        self._corpus = corpus
        self._groups: OrderedDict[int, pa.Table] = OrderedDict()
        self._lock = threading.Lock()
        self._footer = lru_cache(NUM_CACHED_FOOTERS)(lambda part: _read_footer(corpus, self._parts[part]))

    @property
    def num_rows(self) -> int:
        return len(self.num_tokens)

    def documents_of(self, rows: Rows) -> npt.NDArray[np.int32]:
        """Ordinals of the documents that rows belong to, same shape."""
        return np.asarray(self._ordinals[rows])

    def document_rows(self, ordinal: int) -> tuple[int, int]:
        """First row of a document and the row after its last."""
        return int(self._document_starts[ordinal]), int(self._document_starts[ordinal + 1])

    def row_of(self, passage_id: str) -> int:
        """Row of a passage of this corpus."""
        document_id, _, index = passage_id.rpartition(":")
        place = int(np.searchsorted(self._keys, np.uint64(_key(document_id))))
        assert place < len(self._keys), f"{passage_id} is no passage of the corpus"
        assert int(self._keys[place]) == _key(document_id), f"{passage_id} is no passage of the corpus"
        first_row, end_row = self.document_rows(int(self._key_ordinals[place]))
        row = first_row + int(index)
        assert row < end_row, f"{passage_id} is no passage of the corpus"
        return row

    def title(self, ordinal: int) -> str:
        """Title of a document; empty when it has none."""
        title = self._titles[self._title_starts[ordinal] : self._title_starts[ordinal + 1]]
        return title.tobytes().decode("utf-8", "surrogatepass")

    def read(self, rows: Iterable[int]) -> dict[int, Passage]:
        """Passages of rows, with their text."""
        wanted = np.unique(np.fromiter(rows, dtype=np.int64))
        groups, starts = np.unique(self._group_of(wanted), return_index=True)
        passages: dict[int, Passage] = {}
        with ThreadPoolExecutor(_NUM_READERS) as readers:
            # Each task keeps the rows it was sent for, not its row group: together those may not fit into memory.
            for found in readers.map(self._read_from_group, groups.tolist(), np.split(wanted, starts[1:])):
                passages.update(found)
        return passages

    def _group_of(self, rows: Rows) -> Rows:
        return np.searchsorted(self._group_starts, rows, side="right") - 1

    def _read_from_group(self, group: int, rows: Rows) -> dict[int, Passage]:
        table = self._row_group(group).take(pa.array(rows - self._group_starts[group]))
        return {row: Passage(**fields) for row, fields in zip(rows.tolist(), table.to_pylist(), strict=True)}

    def _row_group(self, group: int) -> pa.Table:
        with self._lock:
            if group in self._groups:
                self._groups.move_to_end(group)
                return self._groups[group]
        part = int(self._group_parts[group])
        first_group = int(np.searchsorted(self._group_parts, part))
        with pq.ParquetFile(
            (self._corpus / PASSAGES_DIR).file(self._parts[part]),
            filesystem=self._corpus.filesystem,
            metadata=self._footer(part),
        ) as parquet:
            table = parquet.read_row_group(
                group - first_group, columns=PASSAGE_SCHEMA.names, use_threads=False
            )
        with self._lock:
            self._groups[group] = table
            while len(self._groups) > _NUM_CACHED_ROW_GROUPS:
                self._groups.popitem(last=False)
        return table
