import asyncio

import numpy as np

from app.storage import Folder
from eval import records
from eval.records import Record, RecordStore, Reply
from eval.samples import Sample

REPLY = Reply("größer \u2028", "stop", 20, 2, 16, 0.5)


def sample(index):
    return Sample(f"t-64-{index:05}", "t", 64, np.arange(3), 8, ["yes"], "g", {"depth_percent": 10.0})


def write(folder, *added):
    async def add():
        store = RecordStore(folder)
        for record in added:
            await store.add(record)

    asyncio.run(add())


def test_records_are_read_back(tmp_path):
    folder = Folder(str(tmp_path))
    answered, failed = Record.of(sample(0), REPLY), Record.of(sample(1), None, "HTTP 400: too long")
    write(folder, answered, failed)
    store = RecordStore(folder)
    assert store["t-64-00000"] == answered
    assert store["t-64-00001"] == failed
    assert [store.is_answered(f"t-64-{index:05}") for index in range(3)] == [True, False, False]


def test_every_process_begins_a_part_of_its_own_and_the_last_record_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "RECORDS_PER_PART", 2)
    folder = Folder(str(tmp_path))
    write(folder, *(Record.of(sample(index), None, "away") for index in range(3)))
    write(folder, Record.of(sample(1), REPLY))
    assert len(folder.list_names(".jsonl")) == 3
    store = RecordStore(folder)
    assert [store.is_answered(f"t-64-{index:05}") for index in range(3)] == [False, True, False]


def test_a_record_is_on_disk_when_add_returns(tmp_path):
    folder = Folder(str(tmp_path))

    async def add():
        store = RecordStore(folder)
        for index in range(3):
            await store.add(Record.of(sample(index), REPLY))
            assert RecordStore(folder).is_answered(f"t-64-{index:05}")

    asyncio.run(add())
