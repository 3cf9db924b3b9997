"""From a plan and the sources' tokens to the sequences of a stage."""

import numpy as np
import pytest

from app.storage import Folder
from app.training.data import stage_shards
from app.training.data.packing import plan_stage
from app.training.data.sequence_store import SequenceStore
from app.training.data.stage_shards import ShardInputs, plan_shards, write_planned_shard
from app.training.data.supplies import SourceLengths
from app.training.data.token_shards import INDEX, TokenShards, write_part
from app.training.data.tokenization import TARGET_BITS, TokenRow
from tests.training.data.test_packing import stage_of


def write_source(folder, first_token, lengths, is_text, parts=3):
    """Tokens that tell where they come from: example and place."""
    for part, examples in enumerate(np.array_split(np.arange(len(lengths)), parts)):
        name = f"part-{part:05d}"
        with write_part(folder, name) as writer:
            for example in examples:
                tokens = np.arange(lengths[example], dtype=np.int32) + first_token + 1000 * int(example)
                bits = np.full(len(tokens), TARGET_BITS["all"], np.uint8)
                bits[len(tokens) // 2 :] |= TARGET_BITS["response"]
                bits[0] = 0
                writer.add(f"{first_token}-{example}", TokenRow(tokens, bits), is_text)
        folder.write_table(name + INDEX, writer.index())
    return TokenShards(folder)


@pytest.fixture
def shards(tmp_path):
    random = np.random.default_rng(0)
    return {
        "chats": write_source(Folder(str(tmp_path / "chats")), 1, random.integers(5, 60, 100), False),
        "texts": write_source(Folder(str(tmp_path / "texts")), 10**6, random.integers(30, 400, 40), True),
    }


@pytest.mark.parametrize("separator_id", [None, 0])
def test_the_store_holds_the_planned_units(tmp_path, shards, monkeypatch, separator_id):
    monkeypatch.setattr(stage_shards, "SHARD_TOKENS", 600)
    stage = stage_of(
        {"chats": 1.0, "texts": 2.0}, 100, 30, documents="mask" if separator_id is None else "separator"
    )
    losses = {"chats": "response", "texts": "all"}
    indexes = {name: shards[name].read_index(loss) for name, loss in losses.items()}
    lengths = {
        name: SourceLengths(index.num_tokens, index.num_targets, index.is_text, index.first_token == -1)
        for name, index in indexes.items()
    }
    plan = plan_stage(stage, lengths, 0, "train.stages.0.mix")
    inputs = ShardInputs(
        tuple(shards[name] for name in plan.sources),
        tuple(TARGET_BITS[losses[name]] for name in plan.sources),
        100,
        separator_id,
    )
    planned = plan_shards(plan, indexes, 100)
    assert [shard.name for shard in planned] == [f"sequences-{index:05d}-of-00005" for index in range(5)]
    data = Folder(str(tmp_path / "data"))
    for shard in planned:
        write_planned_shard(shard, data, inputs)
    store = SequenceStore(data)
    assert store.num_sequences == 30
    for index in range(30):
        check_sequence(store, index, plan, separator_id)


def check_sequence(store, index, plan, separator_id):
    tokens, is_target = store.read(index, 0, 100)
    at, ids, starts = 0, [], []
    for unit in range(plan.first_units[index], plan.first_units[index + 1]):
        source, example = int(plan.unit_source[unit]), int(plan.unit_example[unit])
        start, length = int(plan.unit_start[unit]), int(plan.unit_length[unit])
        if separator_id is not None and at:
            assert (tokens[at], is_target[at]) == (separator_id, False)
            at += 1
        if separator_id is None or not at:
            starts.append(at)
        first_token = (1, 10**6)[source]
        expected = np.arange(start, start + length) + first_token + 1000 * example
        np.testing.assert_array_equal(tokens[at : at + length], expected)
        assert not is_target[at]
        ids.append(f"{first_token}-{example}")
        if source == 1:
            assert is_target[at + 1 : at + length].all()
        else:
            half = length // 2
            learned = [place >= half and place > 0 for place in range(length)]
            assert is_target[at : at + length].tolist() == learned
        at += length
    assert store.num_tokens(index) == at
    if at < 100:
        starts.append(at)
    assert store.starts(index).tolist() == starts
    assert not is_target[at:].any()
    assert store.num_targets(index) == is_target.sum() > 0
    assert store.example_ids(index) == ids


def test_a_finished_shard_is_not_written_again(tmp_path, shards):
    index = shards["chats"].read_index("all")
    lengths = SourceLengths(index.num_tokens, index.num_targets, index.is_text, index.is_text)
    plan = plan_stage(stage_of({"chats": 1.0}, 100, 5), {"chats": lengths}, 0, "mix")
    inputs = ShardInputs((shards["chats"],), (1,), 100, None)
    [shard] = plan_shards(plan, {"chats": index}, 100)
    data = Folder(str(tmp_path / "data"))
    write_planned_shard(shard, data, inputs)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "data").iterdir()}
    write_planned_shard(shard, data, inputs)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "data").iterdir()} == times
