"""A finished dataset's examples, shortened to read: for the card, and for the terminal at a job's end."""

import re
from collections.abc import Iterator, Mapping
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


def shorten_example(row: Mapping[str, Any], excerpt_chars: int = EXCERPT_CHARS) -> str:
    """One example to read, as Markdown: its facts, its instruction, the ends of its context, its answer."""
    user, answer = row["messages"][0]["content"], row["messages"][-1]["content"]
    facts = [f"`{row['example_id']}`", row["task"], f"{row['num_tokens']:,} tokens"]
    if row["kind"] == "long_input":
        facts += [f"{len(row['document_ids'])} documents", _evidence(row["evidence_depths"])]
    lines = [" · ".join(facts), f"**Instruction** {_excerpt(row['instruction'], excerpt_chars)}"]
    if row["kind"] == "long_input":
        lines.append(
            f"**Documents** {_excerpt(user.removesuffix(SEPARATOR + row['instruction']), excerpt_chars)}"
        )
    lines.append(f"**Answer** {_excerpt(answer, excerpt_chars)}")
    return "\n>\n".join(f"> {line}" for line in lines)


def _evidence(depths: list[float]) -> str:
    if not depths:
        return "no evidence"
    if len(depths) > MAX_SHOWN_DEPTHS:
        return f"{len(depths)} evidence passages between {min(depths):.0%} and {max(depths):.0%}"
    return f"evidence at {', '.join(f'{depth:.0%}' for depth in depths)}"


def _excerpt(text: str, num_chars: int) -> str:
    """The start and the end of a text in one line, with Markdown's and HTML's signs made harmless."""
    text = " ".join(text.split())
    if len(text) > num_chars:
        head, tail = num_chars * 2 // 3, num_chars // 3
        text = f"{text[:head].rstrip()} … {text[-tail:].lstrip()}"
    return re.sub(r"([\\`*_\[\]<>#|~$])", r"\\\1", text)
