"""Samples, generated once and stored: a part file holds some samples of one task and length."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from app.schema import Message
from app.storage import Folder

SCHEMA = pa.schema(
    [
        ("sample_id", pa.string()),
        ("task", pa.string()),
        ("length_tokens", pa.int32()),
        ("token_ids", pa.large_list(pa.int32())),
        ("max_output_tokens", pa.int32()),
        ("references", pa.list_(pa.string())),
        ("group", pa.string()),
        ("facts", pa.string()),
        ("content", pa.large_string()),
        ("answer_prefix", pa.string()),
        ("history", pa.large_string()),
    ]
)
SAMPLES_FORMAT = 3
"""Goes up when parts hold other columns."""
ROWS_PER_GROUP = 4
"""A reader holds one row group: at a million tokens 16 MB."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One question."""

    sample_id: str
    task: str
    length_tokens: int
    """Requested length, generated tokens included."""
    token_ids: npt.NDArray[np.int32]
    """`[tokens]`: the whole prompt, template and answer prefix included."""
    max_output_tokens: int
    references: list[str]
    """Texts that a correct answer contains."""
    group: str = ""
    """Samples of one group begin alike: the first is asked alone, so that the others find its prefix cached."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What tables and pictures want to know of it, as JSON values."""
    content: str = ""
    """What the user says, without template and answer prefix: the message for endpoints that take chats only."""
    answer_prefix: str = ""
    """Start of the reply, which the tokens end with."""

    history: list[Message] = field(default_factory=list)
    """Turns before it, of a chat with several: user and assistant in turn."""

    @property
    def num_tokens(self) -> int:
        """Prompt and generated tokens."""
        return len(self.token_ids) + self.max_output_tokens


@dataclass(frozen=True, slots=True)
class Slot:
    """A sample to be made: its place decides what it is, whoever makes it."""

    task: str
    length_tokens: int
    index: int
    name: str = ""
    """Id of the sample, where a suite gives ids of its own."""

    @property
    def sample_id(self) -> str:
        return self.name or f"{self.task}-{self.length_tokens}-{self.index:05}"


class SampleMaker(Protocol):
    """Makes the samples of a suite. Picklable: it is handed to other processes."""

    def identity(self) -> dict[str, Any]:
        """All that the samples depend on but their slots, as JSON values."""

    def slots(self) -> list[Slot]:
        """All samples, in the order in which they are to be asked."""

    def make(self, slot: Slot) -> Sample:
        """One of them; the same for the same slot."""


def fingerprint(identity: dict[str, Any]) -> str:
    """Name of the folder that keeps the samples of a maker."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:24]


def write_part(folder: Folder, name: str, samples: list[Sample]) -> None:
    """Write one part, whole or not at all."""
    columns: dict[str, Any] = {
        "sample_id": [sample.sample_id for sample in samples],
        "task": [sample.task for sample in samples],
        "length_tokens": [sample.length_tokens for sample in samples],
        "token_ids": [sample.token_ids for sample in samples],
        "max_output_tokens": [sample.max_output_tokens for sample in samples],
        "references": [sample.references for sample in samples],
        "group": [sample.group for sample in samples],
        "facts": [json.dumps(sample.facts, ensure_ascii=False) for sample in samples],
        "content": [sample.content for sample in samples],
        "answer_prefix": [sample.answer_prefix for sample in samples],
        "history": [json.dumps(sample.history, ensure_ascii=False) for sample in samples],
    }
    folder.write_table(name, pa.table(columns, schema=SCHEMA), row_group_rows=ROWS_PER_GROUP)


def read_part(folder: Folder, name: str) -> Iterator[Sample]:
    """The samples of a part, a row group at a time."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(folder.file(name), filesystem=folder.filesystem) as file:
        for index in range(file.num_row_groups):
            for batch in file.read_row_group(index).to_batches():
                for row in range(batch.num_rows):
                    yield _sample(batch, row)


def _sample(batch: pa.RecordBatch, row: int) -> Sample:
    def value(name: str) -> Any:
        return batch.column(name)[row].as_py()

    return Sample(
        sample_id=value("sample_id"),
        task=value("task"),
        length_tokens=value("length_tokens"),
        token_ids=batch.column("token_ids")[row].values.to_numpy(),
        max_output_tokens=value("max_output_tokens"),
        references=value("references"),
        group=value("group"),
        facts=json.loads(value("facts")),
        content=value("content"),
        answer_prefix=value("answer_prefix"),
        history=json.loads(value("history")),
    )
