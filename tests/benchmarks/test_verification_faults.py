import re

import pytest

from app.agent.parsing import MalformedReplyError, parse_answer
from app.schema import Document
from benchmarks.verification_faults import FAULTS, plant_rows
from tests.agent.conftest import WordTokenizer


@pytest.fixture(scope="module")
def rows():
    sentences = " ".join(
        f"The barge number {number} went down the river to the mill." for number in range(60)
    )
    documents = [Document(str(number), sentences, "", "s", number) for number in range(9)]
    planted = plant_rows(documents, WordTokenizer(), 6)
    return {fault: [row for row in planted if row.fault == fault] for fault in (None, *FAULTS)}


def shown(row, ids):
    passages = [passage for document in row.draft.documents for passage in document.passages]
    return " ".join(passage.text for passage in passages if passage.passage_id in ids)


def test_what_is_asked_for_stands_in_two_marked_documents(rows):
    for row in rows[None]:
        assert set(row.draft.evidence_ids) == row.true_ids
        assert len(row.true_ids) == 2
        words = row.draft.answer.rstrip(".").split()
        assert words[-1] in shown(row, row.true_ids)


def test_each_fault_is_what_its_name_says(rows):
    assert all("Find out" not in row.draft.instruction for row in rows["closed_book"])
    assert all(row.draft.answer[:20] not in shown(row, row.true_ids) for row in rows["ungrounded"])
    for row in rows["one_document"]:
        first, second = sorted(row.true_ids)
        assert row.draft.answer.rstrip(".").split()[-1] in shown(row, {first})
        assert set(re.findall(r"The (\w+)", shown(row, {second}))) == {"barge"}
    assert all(row.true_ids.isdisjoint(row.draft.evidence_ids) for row in rows["wrong_marking"])


def test_meta_text_is_refused_as_it_would_be_in_the_workflow(rows):
    for row in rows["meta_text"]:
        with pytest.raises(MalformedReplyError, match="notes"):
            parse_answer(row.draft.answer, was_cut=False)
    for row in rows[None]:
        assert parse_answer(row.draft.answer, was_cut=False)
