"""Records of the samples: one JSON line each, on disk before the next request takes its slot."""

import asyncio
import json
from dataclasses import asdict, dataclass
from typing import Any

from app.storage import Folder
from eval.samples import Sample

RECORDS_PER_PART = 100
"""A part is rewritten with every record, as object stores cannot append."""
_PART = "records-"


@dataclass(frozen=True, slots=True)
class Reply:
    """What an endpoint answered."""

    text: str
    """What is scored: without thought, and without the answer prefix."""
    finish_reason: str
    num_prompt_tokens: int
    num_output_tokens: int
    num_cached_tokens: int
    """Prompt tokens served from the endpoint's prefix cache; 0 if the endpoint does not report them."""
    sec: float
    """Time from the request to its last token, without pauses and earlier attempts."""
    thought: str = ""
    """What a reasoning model thought before its answer; it is not scored."""
    limit_tokens: int = 0
    """Most tokens that the reply could have, thought included."""
    thinking_tokens: int = 0
    """Those of them that were for the thought alone."""

    @property
    def is_cut(self) -> bool:
        """Whether the limit ended the reply."""
        return self.finish_reason == "length"


@dataclass(frozen=True, slots=True)
class Record:
    """One sample and its answer, or why there is none."""

    sample_id: str
    task: str
    length_tokens: int
    group: str
    facts: dict[str, Any]
    references: list[str]
    reply: Reply | None
    error: str | None = None

    @staticmethod
    def of(sample: Sample, reply: Reply | None, error: str | None = None) -> "Record":
        """Either a reply or an error."""
        assert (reply is None) != (error is None)
        return Record(
            sample.sample_id,
            sample.task,
            sample.length_tokens,
            sample.group,
            sample.facts,
            sample.references,
            reply,
            error,
        )


class RecordStore:
    """The records of one model and suite.

    A sample that failed may be asked again: its last record counts.

    Args:
        folder: Takes the parts, `records-*.jsonl`.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._records: dict[str, Record] = {}
        parts = folder.list_names(".jsonl")
        for name in parts:
            if name.startswith(_PART):
                for line in folder.read_bytes(name).decode("utf-8").split("\n")[:-1]:
                    record = _parse(line)
                    self._records[record.sample_id] = record
        self._num_parts = sum(name.startswith(_PART) for name in parts)
        self._lines: list[str] = []
        self._writing = asyncio.Lock()

    def __getitem__(self, sample_id: str) -> Record:
        return self._records[sample_id]

    def find(self, sample_id: str) -> Record | None:
        """The sample's record; None: it was not asked."""
        return self._records.get(sample_id)

    def is_answered(self, sample_id: str, thinking_tokens: int | None = None) -> bool:
        """Whether there is a reply, right or wrong.

        Args:
            sample_id: The sample.
            thinking_tokens: Present budget for thought; a reply that another budget cut is not finished. None: any.
        """
        record = self._records.get(sample_id)
        if record is None or record.reply is None:
            return False
        reply = record.reply
        return thinking_tokens is None or not reply.is_cut or reply.thinking_tokens == thinking_tokens

    async def add(self, record: Record) -> None:
        """Write a record down; it is on disk when this returns."""
        async with self._writing:
            self._lines.append(json.dumps(asdict(record), ensure_ascii=False) + "\n")
            content = "".join(self._lines).encode("utf-8", "replace")
            await asyncio.to_thread(self._folder.write_bytes, f"{_PART}{self._num_parts:05}.jsonl", content)
            self._records[record.sample_id] = record
            if len(self._lines) >= RECORDS_PER_PART:
                self._num_parts, self._lines = self._num_parts + 1, []


def _parse(line: str) -> Record:
    values = json.loads(line)
    reply = values.pop("reply")
    return Record(**values, reply=Reply(**reply) if reply is not None else None)
