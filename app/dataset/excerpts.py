"""Examples of a finished dataset, shortened for reading: for the card, the report, and the terminal at the end of a
job.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from app.dataset.layout import SEPARATOR
from app.dataset.shards import EXAMPLES_DIR
from app.storage import Folder

EXCERPT_CHARS = 400
MAX_SHOWN_DEPTHS = 8


def read_examples(dataset: Folder) -> Iterator[dict[str, Any]]:
    """A finished dataset's rows, one by one."""
    folder = dataset / EXAMPLES_DIR
    for name in folder.list_names(".parquet"):
        # Without read-ahead, or three rows would cost a row group.
        with pq.ParquetFile(folder.file(name), filesystem=folder.filesystem, pre_buffer=False) as shard:
            for batch in shard.iter_batches(batch_size=1):
                yield from batch.to_pylist()


@dataclass(frozen=True, slots=True)
class Excerpt:
    """One example, shortened, in plain text."""

    example_id: str
    facts: list[str]
    """Its kind of task, its length, what it holds."""
    parts: dict[str, str]
    """Instruction, documents of a context, first answer: their ends."""


def excerpt_example(row: Mapping[str, Any], excerpt_chars: int = EXCERPT_CHARS) -> Excerpt:
    """One example to read: its facts, its instruction, the ends of its context, its answer."""
    user, answer = row["messages"][0]["content"], row["messages"][1]["content"]
    facts = [row["task"], f"{row['num_tokens']:,} tokens"]
    parts = {"Instruction": row["instruction"]}
    if row["kind"] != "long_output":
        facts += [f"{len(row['document_ids'])} documents", _evidence(row["evidence_depths"])]
        parts["Documents"] = user.removesuffix(SEPARATOR + row["instruction"])
    parts["Answer"] = answer
    shortened = {name: _shorten(text, excerpt_chars) for name, text in parts.items()}
    return Excerpt(row["example_id"], facts, shortened)


def shorten_example(row: Mapping[str, Any]) -> str:
    """A shortened example as Markdown, with Markdown and HTML characters escaped."""
    excerpt = excerpt_example(row)
    lines = [" · ".join([f"`{excerpt.example_id}`", *excerpt.facts])]
    lines += [f"**{name}** {_escape(text)}" for name, text in excerpt.parts.items()]
    return "\n>\n".join(f"> {line}" for line in lines)


def _evidence(depths: list[float]) -> str:
    if not depths:
        return "no evidence"
    if len(depths) > MAX_SHOWN_DEPTHS:
        return f"{len(depths)} evidence passages between {min(depths):.0%} and {max(depths):.0%}"
    return f"evidence at {', '.join(f'{depth:.0%}' for depth in depths)}"


def _shorten(text: str, num_chars: int) -> str:
    """The start and the end of a text, in one line."""
    text = " ".join(text.split())
    if len(text) <= num_chars:
        return text
    head, tail = num_chars * 2 // 3, num_chars // 3
    return f"{text[:head].rstrip()} … {text[-tail:].lstrip()}"


def _escape(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>#|~$])", r"\\\1", text)
