import asyncio
import pickle

import pyarrow as pa
import pytest

from app.agent.journal import CallJournal
from app.agent.llm import LlmCall, LlmReply
from app.dataset.reject_share import LatestRejects, TooManyRejectsError, check_rejects, take_back
from app.faults import UserError
from app.schema import Reject
from app.storage import Folder
from tests.dataset.test_finishing import result, write

NOT_JSON, CUT = Reject("s", "selection", "not JSON", "a\nb"), Reject("s", "answer", "cut")


def test_too_many_of_one_reason_stop_the_job():
    latest = LatestRejects(max_share=0.5, num_rows=4)
    for row in (NOT_JSON, NOT_JSON, None):
        latest.add(row)
    with pytest.raises(TooManyRejectsError, match=r"3 of 4 rows .* \(selection: not JSON: a b\), above 50%"):
        latest.add(NOT_JSON)


def test_only_the_latest_rows_count():
    latest = LatestRejects(max_share=0.5, num_rows=4)
    for row in [None] * 100 + [NOT_JSON] * 2:
        latest.add(row)
    with pytest.raises(TooManyRejectsError):
        latest.add(NOT_JSON)


@pytest.mark.parametrize(
    ("rows", "max_share"),
    [([NOT_JSON, NOT_JSON, CUT, None], 0.5), ([NOT_JSON, CUT, CUT, NOT_JSON], 0.5), ([CUT] * 4, 1.0)],
)
def test_several_reasons_or_fewer_rows_go_on(rows, max_share):
    check_rejects(rows, max_share)


def test_the_error_crosses_processes_as_it_is():
    error = pickle.loads(pickle.dumps(TooManyRejectsError("why", "selection", "not JSON")))
    assert isinstance(error, UserError)
    assert (str(error), error.step, error.reason) == ("why", "selection", "not JSON")


def call(step, text):
    return LlmCall(step, ({"role": "user", "content": text},), 8, 1)


def write_journal(calls, seed_id, steps):
    async def answer(asked):
        return LlmReply("text", "stop", 1, 1)

    async def go():
        generate = CallJournal(calls, seed_id).wrap(answer, lambda replayed: None)
        for step in steps:
            await generate(call(step, step))

    asyncio.run(go())


def steps_left(calls, seed_id):
    journal = calls / seed_id
    return sorted(journal.read_json(name)["step"] for name in journal.list_names(".json"))


@pytest.fixture
def folders(tmp_path):
    """Results of three rows in two files, their checkpoints, journals of these and of a row under way."""
    results, checkpoint, calls = (Folder(str(tmp_path / name)) for name in ("results", "checkpoint", "calls"))
    write(results, "a.parquet", [result(0), result(1, "too short")])
    write(results, "b.parquet", [result(2, "too short"), result(3, "cut")])
    for name, ids in (("a.parquet", ["seed-0", "seed-1"]), ("b.parquet", ["seed-2", "seed-3"])):
        checkpoint.write_table(name, pa.table({"seed_id": ids}))
    for index in range(5):
        write_journal(calls, f"seed-{index}", ["summary", "answer"])
    return results, checkpoint, calls


def ids(folder):
    return [
        seed
        for name in folder.list_names(".parquet")
        for seed in folder.read_table(name)["seed_id"].to_pylist()
    ]


def test_rows_are_taken_back_and_keep_what_was_paid_for_before_the_step(folders):
    results, checkpoint, calls = folders
    assert take_back(results, checkpoint, calls, "answer", "too short") == 2
    assert ids(results) == ids(checkpoint) == ["seed-0", "seed-3"]
    assert steps_left(calls, "seed-1") == steps_left(calls, "seed-2") == ["summary"]
    # Finished rows keep theirs; a row under way may have had the same answers.
    assert steps_left(calls, "seed-0") == steps_left(calls, "seed-3") == ["answer", "summary"]
    assert steps_left(calls, "seed-4") == ["summary"]


def test_all_rejects_are_taken_back_where_no_row_became_an_example(folders):
    results, checkpoint, calls = folders
    assert take_back(results, checkpoint, calls, "", "") == 3
    assert ids(results) == ids(checkpoint) == ["seed-0"]
    assert steps_left(calls, "seed-3") == ["summary"]


def test_files_without_rows_go(folders):
    results, checkpoint, calls = folders
    take_back(results, checkpoint, calls, "answer", "too short")
    take_back(results, checkpoint, calls, "answer", "cut")
    assert results.list_names(".parquet") == checkpoint.list_names(".parquet") == ["a.parquet"]
    assert take_back(results, checkpoint, calls / "none", "answer", "cut") == 0
