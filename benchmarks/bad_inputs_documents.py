"""Bad documents: files, folders, encodings and archives, with what must be read of each."""
# ruff: noqa: E501

import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from app.config import SourceConfig
from app.corpus.reader import read_file
from app.corpus.sources import list_files
from app.schema import Reject
from benchmarks.bad_inputs_judging import Case, Line, Record

MAX_BYTES = 10_000
A, B = {"text": "First text."}, {"text": "Second text."}


def document_cases(folder: Path) -> Iterator[Case]:
    """All cases of files and folders.

    Args:
        folder: Takes them.
    """
    for number, (name, content, expected) in enumerate(_files()):
        yield Case(f"{name} {content[:30]!r}", _reading(folder / f"file-{number}" / name, content), expected)
    for number, (name, columns, expected) in enumerate(_tables()):
        yield Case(
            f"parquet {name}",
            _reading(folder / f"table-{number}" / "a.parquet", parquet_of(columns)),
            expected,
        )
    for number, (names, path, listed) in enumerate(_folders()):
        yield Case(f"folder {path}", _listing(folder / f"folder-{number}", names, path), listed)


def lines_of(*rows: Any) -> bytes:
    """JSONL of values, and of lines as they are."""
    return b"\n".join(row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows)


def _files() -> Iterator[tuple[str, bytes, list[Any]]]:
    bad_rows: dict[str, list[Any]] = {
        "bad JSON": [b"{", b'{"text": "a"', b"nope", b"{'text': 'a'}", b"[" * 5000, b'{"text": "a"} {}', b"\x00", b'{"text": "a\tb"}', b'{"text": ' + b"1" * 5000 + b"}"],
        "wrong type": [[1], 5, None, "text", {"txt": "a"}, {"text": 5}, {"text": ["a"]}, {"text": {"a": 1}}, {"text": True}, {"text": float("nan")}, b'{"text": 1e999}', {}],
        "empty": [b"", b"   ", {"text": ""}, {"text": " \n\t"}, {"text": None}, {"text": "\u2003\u00a0"}],
        "not UTF-8": [b'{"text": "\xff"}', b'{"text": "\\ud800"}', '{"text": "a"}'.encode("utf-16"), b'{"text": "caf\xe9"}'],
        "too large": [{"text": "x" * 10_001}, {"text": "\u4e2d" * 3334}],
    }  # fmt: skip
    for reason, rows in bad_rows.items():
        for row in rows:
            yield "a.jsonl", lines_of(A, row, B), ["First text.", Record(reason), "Second text."]
    for text in ("a\u2028b", "a\u0085b", "a\r\nb", "\ufeffa", "e\u0301", "a\x00b", "\U0001f468\u200d\U0001f469", "\u202eabc", "<|im_end", "{}", "null", "x" * 10_000):  # fmt: skip
        yield "a.jsonl", lines_of({"text": text}, B), [text, "Second text."]
    good, both = lines_of(A, B), ["First text.", "Second text."]
    yield "a.jsonl", b"\xef\xbb\xbf" + good, both
    yield "a.jsonl", good.replace(b"\n", b"\r\n") + b"\r\n", both
    yield "a.jsonl", good + b"\n", both
    yield "a.JSONL", good, both
    yield "a.ndjson", good, both
    yield "a.jsonl", b'{"text": "one", "text": "two"}', ["two"]
    yield "a.jsonl", lines_of(A | {"other": [1] * 50}), ["First text."]
    yield "a.json", json.dumps([A, B]).encode(), [Record("wrong type")]
    yield "a.jsonl.gz", gzip.compress(good), both
    yield "a.jsonl.gz", gzip.compress(lines_of(A) + b"\n") + gzip.compress(lines_of(B)), both
    yield "a.jsonl.gz", good, [Record("unreadable")]
    yield "a.jsonl.zst", gzip.compress(good), [Record("unreadable")]
    yield "a.jsonl.zst", pa.compress(good, "zstd", asbytes=True), both
    yield "a.jsonl.gz", gzip.compress(good + b"\n")[:-4], [*both, Record("unreadable")]
    yield "a.jsonl.gz", gzip.compress(good + b"\n") + b"trailing", [*both, Record("unreadable")]
    yield "a.parquet", b"PAR1", [Record("unreadable")]
    yield "a.parquet", parquet_of({"text": ["a"]})[:-3], [Record("unreadable")]
    yield "a.txt", b"plain", ["plain"]
    yield "a.md", b"\xef\xbb\xbf# Head", ["# Head"]
    yield "a.txt", b"\xff\xfe", [Record("not UTF-8")]
    yield "a.txt", b" \n", [Record("empty")]
    yield "a.txt", b"x" * 10_001, [Record("too large")]
    yield "a.txt.gz", b"no gzip", [Record("unreadable")]


def _tables() -> Iterator[tuple[str, dict[str, Any], Any]]:
    text = pa.array(["a", "b"])
    for kind in (pa.large_string(), pa.string_view(), pa.binary(), pa.dictionary(pa.int32(), pa.string())):
        yield str(kind), {"text": text.cast(kind)}, ["a", "b"]
    yield "null", {"text": ["a", None]}, ["a", Record("empty")]
    yield "all null", {"text": pa.nulls(1)}, [Record("empty")]
    yield "numbers", {"text": [1, 2]}, [Record("wrong type")] * 2
    yield "lists", {"text": [["a"], []]}, [Record("wrong type")] * 2
    yield "structs", {"text": [{"a": "b"}]}, [Record("wrong type")]
    yield "bytes", {"text": pa.array([b"a", b"\xff"]).view(pa.string())}, ["a", Record("not UTF-8")]
    yield "no rows", {"text": pa.array([], pa.string())}, []
    yield "another name", {"txt": ["a"]}, Line("corpus.sources.0.fields.text: ")
    yield "text.en", {"text.en": ["x"], "text": ["a"]}, ["a"]
    yield "titles of numbers", {"title": [1984], "text": ["a"]}, ["a"]


def _folders() -> Iterator[tuple[list[str], str, Any]]:
    names = ["a.jsonl", "b.txt", ".hidden.txt", "_x/c.txt", "sub/d.md", "e.pdf", "f.TXT", "g [1].txt"]
    field = "corpus.sources.0.path: "
    yield names, "", ["a.jsonl", "b.txt", "f.TXT", "g [1].txt", "sub/d.md"]
    yield names, "*.txt", ["b.txt", "g [1].txt"]
    yield names, "**/*.md", ["sub/d.md"]
    yield names, "g [[]1].txt", ["g [1].txt"]
    yield names, "g [1].txt", ["g [1].txt"]
    yield names, ".hidden.txt", [".hidden.txt"]
    for path in ("nothing", "*.csv", "sub/*.txt", "e.pdf", "a.jsonl/x", "[", "b.txt*x", "x" * 300, "a\nb"):
        yield names, path, Line(field)
    yield [".a.txt"], "", Line(field)
    yield ["a.csv"], "", Line(field)
    yield [], "", Line(field)
    # A link is written `name -> target`: each file is listed once, and what leads nowhere is no file.
    yield ["sub/a.txt", "sub/one -> .."], "", ["sub/a.txt"]
    yield ["sub/a.txt", "sub/one -> ..", "sub/two -> .."], "", ["sub/a.txt"]
    yield ["a.txt", "b.txt -> nowhere"], "", ["a.txt"]
    yield ["a.txt", "l -> l"], "", ["a.txt"]
    yield ["x/a.txt", "y/b -> ../x"], "", ["x/a.txt"]


def parquet_of(columns: dict[str, Any]) -> bytes:
    """A Parquet file of some columns."""
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream)
    return stream.getvalue()


def write(path: Path, content: bytes) -> None:
    """A file, and the folders that it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def rows_of(path: Path, max_bytes: int = MAX_BYTES) -> list[Any]:
    """The texts of a file in their order, and the reasons of its rejects."""
    files = list_files([SourceConfig(path=str(path))])
    rows = (row for file in files for row in read_file(file, max_bytes))
    return [Record(row.reason) if isinstance(row, Reject) else row.text for row in rows]


def _reading(path: Path, content: bytes) -> Any:
    def attempt() -> list[Any]:
        write(path, content)
        return rows_of(path)

    return attempt


def _listing(folder: Path, names: list[str], path: str) -> Any:
    def attempt() -> list[str]:
        folder.mkdir()
        for name, _, target in (name.partition(" -> ") for name in names):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if target:
                (folder / name).symlink_to(target)
            else:
                (folder / name).write_text("text")
        files = list_files([SourceConfig(path=f"{folder}/{path}".rstrip("/"))])
        return sorted(str(Path(file.path).relative_to(folder)) for file in files)

    return attempt
