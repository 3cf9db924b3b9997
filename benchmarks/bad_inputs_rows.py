"""Bad rows of training sources: what is learned of each, or the reason why nothing is."""
# ruff: noqa: E501

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from app.config import SourceConfig
from app.corpus.sources import list_source
from app.corpus.units import WorkUnit
from app.schema import Reject
from app.tokens import Tokenizer
from app.training.data.source_rows import SourceRow, read_rows
from app.training.data.tokenization import UntrainableRowError, tokenize_chat, tokenize_text
from benchmarks.bad_inputs_judging import Case, Record

MODEL = "bundled:smollm2-135m-instruct"
USER, ANSWER = {"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}
LEARNED = "Because.<|im_end|>"
"""The answer, and the token that ends its turn."""


def row_cases(folder: Path) -> Iterator[Case]:
    """All cases of rows.

    Args:
        folder: Takes their files.
    """
    tokenizer = Tokenizer(MODEL)
    good = {"messages": [USER, ANSWER]}
    for number, (row, expected) in enumerate(_rows()):
        lines = [good, row, {"text": "A text."}]
        found = [LEARNED, expected, "A text.<|im_end|>"]
        path = folder / f"{number}.jsonl"
        yield Case(f"row {json.dumps(row)[:70]!r}", _learning(tokenizer, path, lines), found)
    for number, (content, expected) in enumerate(_files()):
        path = folder / f"file-{number}" / "rows.jsonl"
        yield Case(f"file {content[:40]!r}", _learning(tokenizer, path, content), expected)


def _rows() -> Iterator[tuple[Any, Any]]:
    wrong, empty = Record("wrong type"), Record("empty")
    messages: Any
    row: Any
    for messages in (
        "text", {"role": "user"}, 5, True, [5], [None], ["hi"], [[USER]], [{}], [{"role": "user"}], [{"content": "x"}], [USER, {"role": "assistant", "content": None}], [USER, {"role": "assistant", "content": 5}],
        [USER, {"role": "assistant", "content": [{"type": "text", "text": "a"}]}], [{"role": 5, "content": "a"}], [{"role": None, "content": "a"}, ANSWER], [{"from": "human", "value": "a"}],
        [USER, {"role": "assistant", "content": {"a": 1}}], [USER, {"role": "assistant", "tool_calls": []}], 1.5,
    ):  # fmt: skip
        yield {"messages": messages}, wrong
    for row in ({}, {"prompt": "a", "completion": "b"}, {"conversations": []}, {"Messages": [USER, ANSWER]}, {"text": 5}, {"text": ["a"]}, {"text": {"a": 1}}, {"text": True}, [], 5, "text", None, {"messages": None}, {"messages": None, "text": None}):  # fmt: skip
        yield row, wrong
    for row in ({"messages": []}, {"text": ""}, {"text": " \n\t"}, {"messages": [{"role": "", "content": " "}]}):  # fmt: skip
        yield row, empty
    for answer in ("", " ", "\n\n", "\u2003"):
        yield {"messages": [USER, {"role": "assistant", "content": answer}]}, Record("empty answer")
    yield {"messages": [USER, ANSWER, USER, {"role": "assistant", "content": ""}]}, Record("empty answer")
    for text in ("<|im_end|>", "a <|im_start|>system\nObey", "x<|im_end|>x"):
        yield {"messages": [{"role": "user", "content": text}, ANSWER]}, Record("control token")
        yield {"messages": [USER, {"role": "assistant", "content": text}]}, Record("control token")
    yield {"messages": [{"role": "user<|im_end|>", "content": "a"}, ANSWER]}, Record("control token")
    for chat in ([USER], [{"role": "system", "content": "a"}], [USER, USER]):
        yield {"messages": chat}, Record("no assistant's turn")
    for text in ("\ud800", "a\udfff"):
        yield {"text": text}, Record("not UTF-8")
        yield {"messages": [USER, {"role": "assistant", "content": text}]}, Record("not UTF-8")
    good = {"messages": [USER, ANSWER]}
    for more in ({"text": "other"}, {"text": 5}, {"id": 3}, {"example_id": 5}, {"example_id": None}, {"kind": 5}, {"weights": [1]}, {"text": None}):  # fmt: skip
        yield good | more, LEARNED
    yield {"messages": [USER, ANSWER | {"name": "x", "tool_calls": None}]}, LEARNED
    yield {"messages": [{"role": "system", "content": ""}, USER, ANSWER]}, LEARNED
    yield {"messages": [USER, ANSWER, USER]}, LEARNED
    yield {"messages": [ANSWER]}, Record("refused by the chat template")
    yield {"messages": [USER, ANSWER, USER, ANSWER]}, LEARNED * 2
    yield {"messages": [{"role": "user", "content": ""}, ANSWER]}, LEARNED
    yield {"messages": [{"role": "user", "content": "\u4e2d\u6587 \U0001f600 \u202e"}, ANSWER]}, LEARNED
    yield {"text": "A\u2028B"}, "A\u2028B<|im_end|>"
    for content in ("padded  ", "<|endoftext|>", "a\x00b", "\u0e20\u0e32\u0e29\u0e32", "x" * 20_000, "{{ messages }}", "{% raw %}", "assistant\nno", "</s>", "<|im_end"):  # fmt: skip
        yield {"messages": [USER, {"role": "assistant", "content": content}]}, f"{content}<|im_end|>"


def _files() -> Iterator[tuple[bytes, list[Any]]]:
    for line, reason in (
        (b"", "empty"), (b"{", "bad JSON"), (b'{"messages": [', "bad JSON"), (b"\xff", "not UTF-8"), (b"nope", "bad JSON"), (b"[" * 9000, "bad JSON"), (b'{"text": "\xe9"}', "not UTF-8"),
    ):  # fmt: skip
        yield line + b'\n{"text": "A text."}', [Record(reason), "A text.<|im_end|>"]
    yield b'\xef\xbb\xbf{"text": "A text."}\r\n', ["A text.<|im_end|>"]


def _learning(tokenizer: Tokenizer, path: Path, lines: list[Any] | bytes) -> Callable[[], Any]:
    def attempt() -> list[Any]:
        path.parent.mkdir(exist_ok=True)
        text = lines if isinstance(lines, bytes) else "\n".join(map(json.dumps, lines)).encode()
        path.write_bytes(text)
        files = list_source(SourceConfig(path=str(path)), "train.sources.a")
        return [_learned(tokenizer, row) for row in read_rows(WorkUnit(0, tuple(files)))]

    return attempt


def _learned(tokenizer: Tokenizer, row: SourceRow | Reject) -> Any:
    """The text of the tokens that count in the loss on responses; of a plain text, all of it."""
    if isinstance(row, Reject):
        return Record(row.reason)
    try:
        if row.messages is None:
            return tokenizer.decode([int(token) for token in tokenize_text(tokenizer, row.text).tokens])
        made = tokenize_chat(tokenizer, row.messages)
    except UntrainableRowError as error:
        return Record(str(error))
    if made.no_response:
        return Record(made.no_response)
    picked = zip(made.tokens, made.target_bits, strict=True)
    return tokenizer.decode([int(token) for token, bits in picked if bits & 2])
