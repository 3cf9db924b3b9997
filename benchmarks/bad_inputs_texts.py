"""Bad texts: benchmarks that a corpus is compared with, control tokens, and texts that are hard to cut; and kept files."""
# ruff: noqa: E501

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from app.config import DecontaminationConfig
from app.corpus.chunking import split_text
from app.corpus.decontamination import Contaminants, list_evaluation_files, read_contaminants
from app.corpus.steps import find_fault
from app.schema import Document
from app.tokens import Tokenizer
from benchmarks.bad_inputs_documents import parquet_of, rows_of, write
from benchmarks.bad_inputs_judging import Case, Line, Record

WORDS = "amber birch cedar delta ember fjord grove heron islet jetty kelp larch maple north orbit"
CONTROL = ("<|im_start|>", "<|im_end|>")
MAX_KEPT_BYTES = 10_000_000


def text_cases(folder: Path, shared: Path | None) -> Iterator[Case]:
    """All cases of texts.

    Args:
        folder: Takes their files.
        shared: Kept inputs, where there are any.
    """
    for number, (name, content, text, found) in enumerate(_benchmarks()):
        place = folder / f"bench-{number}" / name
        yield Case(f"benchmark {name} {content[:30]!r}", _comparing(place, content, text), found)
    for text in _titles():
        yield Case(f"control token {text!r}", _checking(text), _spells(text))
    for name, text in _long_texts().items():
        yield Case(f"passages of {name}", _tiling(text), text)
    if shared is not None:
        yield from _kept(shared)


def _benchmarks() -> Iterator[tuple[str, bytes, str, Any]]:
    row, field = {"question": f"Well: {WORDS}?"}, "corpus.decontamination"
    hit, miss = (
        " ".join(WORDS.split()[:13]),
        "quite another text that shares no long run of words with it at all",
    )
    raw, text = json.dumps(row).encode(), f"It says {WORDS} there."
    yield "a.jsonl", raw, text, hit
    yield "a.jsonl", raw, miss, None
    yield "a.jsonl", raw + b"\n\n" + raw, text, hit
    yield "a.json", json.dumps([row], indent=2).encode(), text, hit
    yield "a.jsonl", f'{{"a": "x\u2028{WORDS}"}}\n{{"a": "y\u0085"}}'.encode(), text, hit
    yield "a.jsonl.gz", gzip.compress(raw), text, hit
    yield "a.jsonl.zst", pa.compress(raw, "zstd", asbytes=True), text, hit
    yield "a.parquet", parquet_of({"q": [{"deep": [row["question"]]}]}), text, hit
    yield "a.txt", WORDS.encode(), text.upper(), hit
    yield "a.txt", b"\xef\xbb\xbf" + WORDS.encode(), text, hit
    yield "a.txt", WORDS.replace(" ", ", ").encode(), text, hit
    yield "a.txt", b"amber birch cedar", "Amber, birch: cedar!", "amber birch cedar"
    yield "a.txt", b"amber birch cedar", "One amber birch cedar stood there.", None
    for name, content in (
        ("a.jsonl", b"{"), ("a.json", b"["), ("a.jsonl", b"\xff\xfe{}"), ("a.txt", b"\xff"), ("a.txt", b"  "),
        ("a.jsonl", b"[1, 2]"), ("a.jsonl", b"null"), ("a.jsonl.gz", raw), ("a.parquet", b"PAR1"), ("a.jsonl", b"[" * 100_000),
        ("a.jsonl.gz", gzip.compress(raw)[:-4]), ("a.parquet", parquet_of({"n": [1]})), ("a.jsonl", b'{"a": "?!"}'),
    ):  # fmt: skip
        yield name, content, text, Line(field)


def _titles() -> list[str]:
    return ["Plain", "<|im_end|>", "a <|im_start|>user", "<|im_end |>", "<|IM_END|>", "im_end", "<|im_end|", "\u200b<|im_end|>"]  # fmt: skip


def _long_texts() -> dict[str, str]:
    return {
        "no blanks": "x" * 5000,
        "Chinese": "\u6e2f\u53e3\u50a8\u5b58\u94dc\u77ff\u77f3\u3002" * 400,
        "Thai": "\u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22" * 400,
        "emoji": "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 300,
        "combining marks": "e" + "\u0301" * 3000,
        "rules": "-" * 20_000,
        "blank lines": "\n\n" * 3000 + "end",
        "carriage returns": "a line\r" * 800,
        "right to left": "\u202e\u05e9\u05dc\u05d5\u05dd " * 500,
        "zero width": "a\u200b" * 3000,
        "tables": "| a | b |\n|---|---|\n" * 400,
        "NUL": "a\x00b " * 1000,
    }


def _kept(shared: Path) -> Iterator[Case]:
    kept = shared / "cases" / "input"
    broken = kept / "broken_tail_takes_the_good_rows" / "docs.jsonl.gz"
    yield Case(
        "kept: a truncated archive", lambda: [type(row).__name__ for row in rows_of(broken, MAX_KEPT_BYTES)].count("str"), 116
    )  # fmt: skip
    separator = kept / "decontamination_line_separator" / "bench.jsonl"
    yield Case(
        "kept: separators", lambda: _contaminants(separator).find_contamination("One\u2028two!"), "one two"
    )
    bench = kept / "decontamination_reads_no_parquet" / "bench"
    yield Case("kept: a benchmark of three formats", lambda: _contaminants(bench).num_files, 3)
    for line in (kept / "title_with_control_tokens" / "corpus.jsonl").read_text("utf-8").strip().split("\n"):
        row = json.loads(line)
        yield Case(f"kept: title {row['title']!r}", _checking(row["title"]), _spells(row["title"]))
    docs = kept / "unreadable_files_pass" / "docs"
    found = [*["read"] * 6, *["unreadable"] * 4]
    yield Case("kept: four of ten archives", lambda: sorted(_state(path) for path in docs.iterdir()), found)


def _state(path: Path) -> str:
    return "unreadable" if any(isinstance(row, Record) for row in rows_of(path, MAX_KEPT_BYTES)) else "read"


def _contaminants(path: Path) -> Contaminants:
    files = list_evaluation_files(DecontaminationConfig(paths=[str(path)], ruler=False)).files
    return read_contaminants(files, 13)


def _comparing(path: Path, content: bytes, text: str) -> Callable[[], Any]:
    def attempt() -> str | None:
        write(path, content)
        return _contaminants(path).find_contamination(text)

    return attempt


def _checking(title: str) -> Callable[[], Any]:
    def attempt() -> Any:
        fault = find_fault(Document("d", "A text.", title, "s", 1), None, read_contaminants([], 13), CONTROL)
        return [Record(fault.reason)] if fault else ["kept"]

    return attempt


def _spells(title: str) -> list[Any]:
    return [Record("control token")] if any(token in title for token in CONTROL) else ["kept"]


def _tiling(text: str) -> Callable[[], Any]:
    def attempt() -> str:
        spans = split_text(text, Tokenizer("bundled:smollm2-135m-instruct"), 64).spans
        assert all(span.num_tokens <= 64 for span in spans)
        return "".join(text[span.start_char : span.end_char] for span in spans)

    return attempt
