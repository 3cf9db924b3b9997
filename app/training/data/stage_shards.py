"""A stage's plan → its shards, each independent: fetches the units of some sequences from the sources' tokens."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from app.storage import Folder
from app.training.data.packing import PackingPlan
from app.training.data.sequence_store import (
    INDEX,
    StoredDocument,
    StoredSequence,
    lay_out_sequence,
    shard_name,
    write_sequence_shard,
)
from app.training.data.token_shards import SourceIndex, TokenShards

SHARD_TOKENS = 1 << 24
"""Positions of a shard: 64 MiB of tokens, written by one task."""
_NUM_READS_AT_ONCE = 16
"""Where a read is a request to an object store."""


@dataclass(frozen=True)
class PlannedShard:
    """The units of one shard's sequences. Arrays are `[num_units]`, but for `first_units`."""

    name: str
    first_units: np.ndarray
    """Sequence `i` of the shard is made of units `first_units[i]` to `first_units[i + 1]`."""
    source: np.ndarray
    part: np.ndarray
    """Number of the part of the source's tokens."""
    row: np.ndarray
    """Row in the part's index."""
    start: np.ndarray
    """First token in the part's file."""
    length: np.ndarray


@dataclass(frozen=True)
class ShardInputs:
    """Inputs that all shards of a stage share. Picklable."""

    tokens: tuple[TokenShards, ...]
    """Token shards of each source, in the plan's order."""
    target_bits: tuple[int, ...]
    """For each source, the bit that marks the tokens in the loss."""
    seq_tokens: int
    separator_id: int | None


def plan_shards(plan: PackingPlan, indexes: Mapping[str, SourceIndex], seq_tokens: int) -> list[PlannedShard]:
    """Cut a plan into shards of consecutive sequences, as many for any number of workers."""
    per_shard = max(SHARD_TOKENS // seq_tokens, 1)
    num_shards = -(-plan.num_sequences // per_shard)
    part, row, start = (np.empty(len(plan.unit_source), np.int64) for _ in range(3))
    for number, name in enumerate(plan.sources):
        units = np.flatnonzero(plan.unit_source == number)
        index, examples = indexes[name], plan.unit_example[units]
        part[units], row[units] = index.part[examples], index.row[examples]
        start[units] = index.start[examples] + plan.unit_start[units]
    shards = []
    for number in range(num_shards):
        first_units = plan.first_units[number * per_shard : (number + 1) * per_shard + 1]
        stretch = slice(first_units[0], first_units[-1])
        shards.append(
            PlannedShard(
                name=shard_name(number, num_shards),
                first_units=first_units - first_units[0],
                source=plan.unit_source[stretch],
                part=part[stretch],
                row=row[stretch],
                start=start[stretch],
                length=plan.unit_length[stretch],
            )
        )
    return shards


def write_planned_shard(shard: PlannedShard, folder: Folder, inputs: ShardInputs) -> None:
    """Fetch and write one shard; at once if that is done. Safe to repeat."""
    if folder.exists(shard.name + INDEX):
        return
    ids = _read_ids(shard, inputs.tokens)
    with ThreadPoolExecutor(_NUM_READS_AT_ONCE) as pool:
        fetch = partial(_read_document, shard, inputs, ids)
        is_local = all(tokens.is_local for tokens in inputs.tokens)

        def sequence(index: int) -> StoredSequence:
            units = range(shard.first_units[index], shard.first_units[index + 1])
            documents = list((map if is_local else pool.map)(fetch, units))
            return lay_out_sequence(documents, inputs.seq_tokens, inputs.separator_id)

        sequences = map(sequence, range(len(shard.first_units) - 1))
        write_sequence_shard(folder, shard.name, inputs.seq_tokens, sequences)


def _read_document(shard: PlannedShard, inputs: ShardInputs, ids: Sequence[str], unit: int) -> StoredDocument:
    source, start = int(shard.source[unit]), int(shard.start[unit])
    stop = start + int(shard.length[unit])
    tokens, bits = inputs.tokens[source].read(int(shard.part[unit]), start, stop)
    return StoredDocument(ids[unit], tokens, (bits & inputs.target_bits[source]) != 0)


def _read_ids(shard: PlannedShard, tokens: Sequence[TokenShards]) -> list[str]:
    """Ids of the units' examples; each part's column is read once."""
    ids = [""] * len(shard.source)
    places = np.stack([shard.source, shard.part], axis=1)
    for source, part in np.unique(places, axis=0):
        units = np.flatnonzero((shard.source == source) & (shard.part == part))
        found = tokens[source].read_ids(int(part), shard.row[units])
        for unit, example_id in zip(units, found, strict=True):
            ids[unit] = example_id
    return ids
